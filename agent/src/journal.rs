//! The agent's memory of its endpoints: a file of lines of JSON, each a step, written before the step has an effect that
//! others see. It outlives the agent, not the node: it belongs on a file system that is empty after a boot, as the
//! endpoints are gone then too.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sheave_cni::protocol::Attachment;

use crate::endpoint::Endpoint;

/// Lines beyond the living endpoints' own after which the file is written anew.
const SLACK: usize = 4096;

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// An endpoint gets its addresses; nothing is in the kernel yet.
    Reserve {
        /// It.
        endpoint: Endpoint,
    },
    /// An endpoint is in the kernel, and its runtime is told so.
    Complete {
        /// Its attachment.
        attachment: Attachment,
    },
    /// Nothing of an endpoint is left in the kernel.
    Release {
        /// Its attachment.
        attachment: Attachment,
        /// When, in seconds since 1970.
        at: u64,
    },
}

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Length of the whole lines in it.
    length: u64,
    lines: usize,
}

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system's refusal.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line in it is not the agent's.
    #[error(
        "line {line} of {path} is damaged ({reason}): move the file away, and the agent takes the addresses in use from \
         the kernel"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl Journal ===

impl Journal {
    /// Opens the file, made if it is not there, and gives the steps in it. A last line without its end is one whose
    /// writer died over it: nothing had happened yet, and it is cut off.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Step>), JournalError> {
        let failed = |action| move |source| JournalError::File { action, path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        }
        let options = File::options().read(true).append(true).create(true).clone();
        let mut file = options.open(path).map_err(failed("open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let length = u64::try_from(whole).unwrap_or(u64::MAX);
        file.set_len(length).map_err(failed("cut"))?;
        let steps = bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate().map(|(index, line)| {
            serde_json::from_slice(line).map_err(|error| JournalError::Damaged {
                path: path.to_owned(),
                line: index + 1,
                reason: error.to_string(),
            })
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        Ok((Self { path: path.to_owned(), file, length, lines: steps.len() }, steps))
    }

    /// Writes a step down. When this fails, nothing of it stays in the file.
    ///
    /// # Errors
    /// [`JournalError::File`]: the disk is full, above all.
    pub fn write(&mut self, step: &Step) -> Result<(), JournalError> {
        let line = line_of(step).map_err(|source| self.failed("write", source))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // A torn line would swallow the next one. If even this fails, the next write's error says so again.
            let _ = self.file.set_len(self.length);
            return Err(self.failed("write", source));
        }
        self.length += u64::try_from(line.len()).unwrap_or(0);
        self.lines += 1;
        Ok(())
    }

    /// Whether most of the file is of endpoints that are gone.
    pub fn is_slack(&self, living: usize) -> bool {
        self.lines > 2 * living + SLACK
    }

    /// Replaces the file by these steps, in one go.
    ///
    /// # Errors
    /// [`JournalError::File`]; then the old file goes on.
    pub fn rewrite(&mut self, steps: &[Step]) -> Result<(), JournalError> {
        let new = self.path.with_extension("new");
        let replace = || {
            let mut bytes = Vec::new();
            for step in steps {
                bytes.extend(line_of(step)?);
            }
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            fs::rename(&new, &self.path)?;
            Ok((File::options().append(true).open(&self.path)?, bytes.len()))
        };
        let (file, length) = replace().map_err(|source| self.failed("rewrite", source))?;
        self.file = file;
        self.length = u64::try_from(length).unwrap_or(u64::MAX);
        self.lines = steps.len();
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> JournalError {
        JournalError::File { action, path: self.path.clone(), source }
    }
}

fn line_of(step: &Step) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(step)?;
    line.push(b'\n');
    Ok(line)
}
