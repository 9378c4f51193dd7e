use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, Value};

/// The handle that commands are sent with.
#[derive(Clone, Debug)]
pub struct Handle {
    connection: MultiplexedConnection,
    /// Each command is preceded by `ASKING`: its key is on its way to the member that is asked.
    asking: bool,
}

impl Handle {
    pub(crate) fn new(connection: MultiplexedConnection, asking: bool) -> Self {
        Self { connection, asking }
    }
}

impl ConnectionLike for Handle {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if !self.asking {
            return self.connection.req_packed_command(command);
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").add_command(command.clone());
        Box::pin(async move {
            let answers = self.connection.req_packed_commands(&pipeline, 1, 1).await?;
            answers.into_iter().next().unwrap_or(Value::Nil).extract_error()
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if !self.asking {
            return self.connection.req_packed_commands(pipeline, offset, count);
        }
        let mut doubled = redis::pipe();
        for command in pipeline.cmd_iter() {
            doubled.cmd("ASKING").add_command(command.clone());
        }
        Box::pin(async move {
            let answers = self.connection.req_packed_commands(&doubled, 2 * offset, 2 * count).await?;
            Ok(answers.into_iter().skip(1).step_by(2).collect())
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
