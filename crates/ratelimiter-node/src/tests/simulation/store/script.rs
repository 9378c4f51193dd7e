//! Runs Lua scripts as the store does: Lua 5.1, its `redis` and `cjson`, its conversions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value, Variadic};

use super::database::Database;
use super::json;
use super::reply::{Reply, Text};

/// The parts of the store's Lua that are written in Lua: errors are tables, as the store raises
/// them, and a script cannot make a global variable by mistake.
const PRELUDE: &str = r#"
local command, encode, decode = ...
redis = {}
function redis.pcall(...) return command(...) end
function redis.call(...)
  local reply = command(...)
  if type(reply) == 'table' and reply.err then error(reply, 0) end
  return reply
end
function redis.error_reply(text) return {err = text} end
function redis.status_reply(text) return {ok = text} end
local function checked(convert)
  return function(value)
    local converted, failure = convert(value)
    if failure then error(failure, 0) end
    return converted
  end
end
cjson = {encode = checked(encode), decode = checked(decode)}
setmetatable(_G, {
  __newindex = function(_, name) error('Attempt to modify a readonly table: ' .. name, 2) end,
  __index = function(_, name)
    error('Script attempted to access nonexistent global variable: ' .. tostring(name), 2)
  end,
})
return function(script)
  local ran, result = pcall(script)
  return ran, result
end
"#;

/// One Lua state, for any number of stores: a script leaves nothing behind in it.
pub(crate) struct ScriptEngine {
    lua: Lua,
    /// The entries, while a script runs.
    database: Rc<RefCell<Database>>,
    run: Function,
    compiled: RefCell<BTreeMap<Text, Function>>,
}

impl ScriptEngine {
    pub(crate) fn new() -> Self {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default()).unwrap();
        let database = Rc::new(RefCell::new(Database::default()));
        let entries = Rc::clone(&database);
        let command = lua.create_function(move |lua, args: Variadic<Value>| {
            let args: Result<Vec<Text>, String> = args.iter().map(argument).collect();
            let reply = match args.as_deref() {
                Err(why) => Reply::Error(why.clone()),
                Ok([]) => Reply::Error("ERR Please specify at least one argument".to_owned()),
                Ok([name, args @ ..]) => {
                    let name = String::from_utf8_lossy(name).to_uppercase();
                    let reply = entries.borrow_mut().run(&name, args);
                    reply.unwrap_or_else(|| {
                        Reply::Error(format!("ERR Unknown command {name} called from script"))
                    })
                }
            };
            to_lua(lua, &reply)
        });
        let encode = lua.create_function(|lua, value: Value| json::encode(lua, &value));
        let decode = lua.create_function(|lua, text: Value| json::decode(lua, &text));
        let functions = (command.unwrap(), encode.unwrap(), decode.unwrap());
        let run = lua
            .load(PRELUDE)
            .set_name("prelude")
            .call(functions)
            .unwrap();
        Self {
            lua,
            database,
            run,
            compiled: RefCell::default(),
        }
    }

    /// Runs a script on the entries.
    pub(crate) fn eval(
        &self,
        database: &mut Database,
        script: &[u8],
        keys: &[Text],
        args: &[Text],
    ) -> Reply {
        let function = match self.compile(script) {
            Ok(function) => function,
            Err(why) => return Reply::Error(format!("ERR Error compiling script {why}")),
        };
        for (name, texts) in [("KEYS", keys), ("ARGV", args)] {
            let texts = texts
                .iter()
                .map(|text| self.lua.create_string(text).unwrap());
            let table = self.lua.create_sequence_from(texts).unwrap();
            self.lua.globals().raw_set(name, table).unwrap();
        }
        std::mem::swap(&mut *self.database.borrow_mut(), database);
        let result: mlua::Result<(bool, Value)> = self.run.call(function);
        std::mem::swap(&mut *self.database.borrow_mut(), database);
        match result {
            Ok((true, value)) => to_reply(&value),
            Ok((false, Value::Table(error))) => to_reply(&Value::Table(error)),
            Ok((false, error)) => {
                let text = error.to_string().unwrap_or_default();
                Reply::Error(format!("ERR {}", text.lines().next().unwrap_or_default()))
            }
            Err(error) => Reply::Error(format!("ERR {error}")),
        }
    }

    fn compile(&self, script: &[u8]) -> Result<Function, String> {
        if let Some(function) = self.compiled.borrow().get(script) {
            return Ok(function.clone());
        }
        let function = self
            .lua
            .load(script)
            .set_name("user_script")
            .into_function();
        let function = function.map_err(|error| error.to_string())?;
        self.compiled
            .borrow_mut()
            .insert(script.to_vec(), function.clone());
        Ok(function)
    }
}

/// An argument of a command. Numbers that are whole have no fraction.
fn argument(value: &Value) -> Result<Text, String> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(number) => Ok(number.to_string().into_bytes()),
        Value::Number(number) => Ok(number.to_string().into_bytes()),
        _ => Err("ERR Lua redis lib command arguments must be strings or integers".to_owned()),
    }
}

fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    let named = |name, text: &str| {
        let table = lua.create_table()?;
        table.raw_set(name, text)?;
        Ok(Value::Table(table))
    };
    match reply {
        Reply::Nil => Ok(Value::Boolean(false)),
        Reply::Whole(number) => Ok(Value::Integer(*number)),
        Reply::Bulk(text) => Ok(Value::String(lua.create_string(text)?)),
        Reply::Status(text) => named("ok", text),
        Reply::Error(text) => named("err", text),
        Reply::List(replies) => {
            let table = lua.create_table_with_capacity(replies.len(), 0)?;
            for (place, reply) in replies.iter().enumerate() {
                table.raw_set(place + 1, to_lua(lua, reply)?)?;
            }
            Ok(Value::Table(table))
        }
    }
}

fn to_reply(value: &Value) -> Reply {
    match value {
        Value::Boolean(true) => Reply::Whole(1),
        Value::Integer(number) => Reply::Whole(*number),
        // The fraction is cut off.
        Value::Number(number) => Reply::Whole(*number as i64),
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Table(table) => table_reply(table),
        _ => Reply::Nil,
    }
}

fn table_reply(table: &Table) -> Reply {
    let named = |name| match table.raw_get(name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        _ => None,
    };
    if let Some(text) = named("err") {
        return Reply::Error(text);
    }
    if let Some(text) = named("ok") {
        return Reply::Status(text);
    }
    let values = (1..).map(|place| table.raw_get::<Value>(place).unwrap_or(Value::Nil));
    let values = values.take_while(|value| !value.is_nil());
    Reply::List(values.map(|value| to_reply(&value)).collect())
}
