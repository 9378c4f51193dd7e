use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, ServerErrorKind, Value};

/// The handle that commands are sent with.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    connection: MultiplexedConnection,
    /// The member that a key is on its way to, after its owner answered `ASK`.
    asked: Option<MultiplexedConnection>,
}

impl StoreHandle {
    pub(crate) fn new(
        connection: MultiplexedConnection,
        asked: Option<MultiplexedConnection>,
    ) -> Self {
        Self { connection, asked }
    }
}

impl ConnectionLike for StoreHandle {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let Some(target) = &mut self.asked else {
            return self.connection.req_packed_command(command);
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").add_command(command.clone());
        Box::pin(async move {
            let answers = target.req_packed_commands(&pipeline, 1, 1).await?;
            answers
                .into_iter()
                .next()
                .unwrap_or(Value::Nil)
                .extract_error()
        })
    }

    /// Of a pipeline, only the commands whose keys have left go to the other member. It would
    /// answer about the others as if their keys were empty.
    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let Some(target) = &mut self.asked else {
            return self.connection.req_packed_commands(pipeline, offset, count);
        };
        let owner = &mut self.connection;
        Box::pin(async move {
            let mut answers = owner.req_packed_commands(pipeline, offset, count).await?;
            let mut follow = redis::pipe();
            let mut places = Vec::new();
            for (place, (answer, command)) in answers.iter().zip(pipeline.cmd_iter()).enumerate() {
                if is_ask(answer) {
                    follow.cmd("ASKING").add_command(command.clone());
                    places.push(place);
                }
            }
            if !places.is_empty() {
                let followed = target
                    .req_packed_commands(&follow, 0, 2 * places.len())
                    .await?;
                for (place, answer) in places
                    .into_iter()
                    .zip(followed.into_iter().skip(1).step_by(2))
                {
                    answers[place] = answer;
                }
            }
            Ok(answers)
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

fn is_ask(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::Ask))
}
