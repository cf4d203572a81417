//! Programs in containers through the container runtime.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::{Exec, ExecError, Executed};
use crate::runtime::Runtime;

impl Exec for Runtime {
    fn exec<'a>(
        &'a self,
        container_id: &'a str,
        command: Vec<String>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Executed, ExecError>> {
        async move {
            match self.exec_sync(container_id, command, timeout).await {
                Ok(ended) => Ok(Executed { exit_code: ended.exit_code, output: [ended.stdout, ended.stderr].concat() }),
                Err(error) if error.code == Code::DeadlineExceeded => Err(ExecError::TimedOut),
                Err(error) => Err(ExecError::Runtime(error.to_string())),
            }
        }
        .boxed()
    }
}
