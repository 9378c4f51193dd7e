use ratelimiter_api::NodeId;

/// Names admissions so that no two ever share a name: `node:boot:sequence`.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    prefix: String,
}

impl Members {
    pub(crate) fn new(node: &NodeId, boot: &str) -> Self {
        Self {
            prefix: format!("{node}:{boot}:"),
        }
    }

    pub(crate) fn name(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.prefix)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
