use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::client::{Answer, get, post};
use crate::{CheckRequest, CheckResponse, ClientError, Endpoint, NodeHealth};

/// One connection to one node, for callers to whom it matters when a request leaves: open it, warm
/// it, and later send on it without paying for a handshake.
#[derive(Debug)]
pub struct NodeConnection {
    endpoint: Endpoint,
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl NodeConnection {
    /// Opens a connection.
    ///
    /// # Errors
    /// When the node does not accept it within `deadline`.
    pub async fn open(endpoint: &Endpoint, deadline: Duration) -> Result<Self, ClientError> {
        let open = async {
            let stream = TcpStream::connect(endpoint.authority())
                .await
                .map_err(|e| ClientError::exchange(endpoint, e))?;
            // A check is one small packet each way: waiting to fill it would be the latency
            // measured.
            stream
                .set_nodelay(true)
                .map_err(|e| ClientError::exchange(endpoint, e))?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|e| ClientError::exchange(endpoint, e))?;
            // The end of the connection reaches the request that waits on the sender.
            let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
            Ok(Self {
                endpoint: endpoint.clone(),
                sender,
                driver,
            })
        };
        timeout(deadline, open)
            .await
            .map_err(|_| ClientError::deadline(endpoint, deadline))?
    }

    /// `GET /health`, which makes the node accept the connection and both sides allocate the memory
    /// of a request.
    ///
    /// # Errors
    /// When the node does not answer within `deadline`.
    pub async fn warm(&mut self, deadline: Duration) -> Result<NodeHealth, ClientError> {
        let request = get(&self.endpoint, "/health", None);
        Answer::receive(&self.endpoint, deadline, self.sender.send_request(request))
            .await?
            .json()
    }

    /// `POST /check`.
    ///
    /// # Errors
    /// When the answer is neither 200 nor 429, or not complete within `deadline`. The check may
    /// have been counted.
    pub async fn check(
        &mut self,
        request: &CheckRequest,
        deadline: Duration,
    ) -> Result<CheckResponse, ClientError> {
        let request = post(&self.endpoint, "/check", request, None);
        Answer::receive(&self.endpoint, deadline, self.sender.send_request(request))
            .await?
            .check()
    }
}

impl Drop for NodeConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
