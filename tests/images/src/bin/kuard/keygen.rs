//! The workload: keys, one after another, so many of them, for so long, or as many as a queue has items.
//!
//! The book's program makes RSA keys, which takes a while. This one makes a small key and then waits, which takes as
//! long and leaves the processor to others.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::log;

/// How long a key takes.
const PER_KEY: Duration = Duration::from_millis(200);
/// How long to wait after a queue that did not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How often a queue may fail to answer in a row.
const MOST_FAILURES: u32 = 10;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Make keys.
    #[arg(long)]
    keygen_enable: bool,
    /// End the program when all keys are made.
    #[arg(long)]
    keygen_exit_on_complete: bool,
    /// The exit code then.
    #[arg(long, default_value_t = 0)]
    keygen_exit_code: u8,
    /// How many; 0: without end.
    #[arg(long, default_value_t = 0)]
    keygen_num_to_gen: u64,
    /// For how many seconds; 0: without end.
    #[arg(long, default_value_t = 0)]
    keygen_time_to_run: u64,
    /// The queue server to take items from, `http://queue:8080/memq/server`.
    #[arg(long)]
    keygen_memq_server: Option<String>,
    /// The queue.
    #[arg(long, default_value = "keygen")]
    keygen_memq_queue: String,
}

pub(crate) struct Keygen {
    options: Options,
    made: Mutex<u64>,
}

// === impl Keygen ===

impl Keygen {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, made: Mutex::new(0) }
    }

    pub(crate) fn state(&self) -> Value {
        json!({ "enable": self.options.keygen_enable, "made": *self.made.lock() })
    }

    /// Works; gives the code to exit with, or never ends.
    pub(crate) async fn run(&self) -> ExitCode {
        if self.options.keygen_enable {
            let worked = match &self.options.keygen_memq_server {
                Some(server) => self.work_off(server).await,
                None => self.count().await,
            };
            match worked {
                Ok(()) => log("(ID 0) Workload exiting"),
                Err(error) => {
                    log(&format!("(ID 0) {error:#}"));
                    return ExitCode::FAILURE;
                }
            }
            if self.options.keygen_exit_on_complete {
                return ExitCode::from(self.options.keygen_exit_code);
            }
        }
        std::future::pending().await
    }

    async fn count(&self) -> Result<()> {
        log("(ID 0) Workload starting");
        let (began, time) = (Instant::now(), Duration::from_secs(self.options.keygen_time_to_run));
        for number in 1.. {
            let key = self.make_key().await?;
            log(&format!("(ID 0 {number}/{}) Item done: {key}", self.options.keygen_num_to_gen));
            if number == self.options.keygen_num_to_gen || (!time.is_zero() && began.elapsed() >= time) {
                break;
            }
        }
        Ok(())
    }

    /// One key for each item of the queue, until it is empty.
    async fn work_off(&self, server: &str) -> Result<()> {
        let queue = &self.options.keygen_memq_queue;
        let url = format!("{server}/queues/{queue}/dequeue");
        log(&format!("(ID 0) Workload starting on queue {queue}"));
        let mut failures = 0;
        loop {
            match post(&url).await {
                Ok(None) => return Ok(()),
                Ok(Some(message)) => {
                    failures = 0;
                    let key = self.make_key().await?;
                    log(&format!("(ID 0 {}) Item done: {key}", message["body"].as_str().unwrap_or_default()));
                }
                Err(error) if failures < MOST_FAILURES => {
                    failures += 1;
                    log(&format!("(ID 0) Could not get an item: {error:#}"));
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a key; gives its fingerprint.
    async fn make_key(&self) -> Result<String> {
        let failed = || anyhow::anyhow!("the system has no randomness");
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| failed())?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| failed())?;
        tokio::time::sleep(PER_KEY).await;
        *self.made.lock() += 1;
        Ok(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest(&SHA256, pair.public_key().as_ref()))))
    }
}

/// Posts nothing to `http://host:port/path`; gives the JSON of the answer, or nothing for 204.
async fn post(url: &str) -> Result<Option<Value>> {
    let uri: hyper::Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let host = uri.host().with_context(|| format!("{url} names no host"))?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await;
    let stream = stream.with_context(|| format!("cannot connect to {host}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or with the error that the answer then reports.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    let request = hyper::Request::post(uri.path()).header("host", host).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    match answer.status() {
        hyper::StatusCode::NO_CONTENT => Ok(None),
        hyper::StatusCode::OK => Ok(Some(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)),
        status => bail!("{url}: {status}"),
    }
}
