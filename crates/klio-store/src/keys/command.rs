//! Any program as a key management service, one run for each key.
//!
//! It gets one line of JSON on standard input, `{"op":"wrap","key":"<base64>"}` or the same with `unwrap`, and
//! answers on standard output with `{"key":"<base64>"}` and exit code 0. It is started directly, without a shell.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyError, KeyProvider, Secret};

/// Most that a program may answer, in bytes.
const ANSWER: u64 = 64 << 10;

/// Wraps by running a program.
#[derive(Debug, Clone)]
pub struct CommandKeyProvider {
    id: String,
    program: OsString,
    arguments: Vec<OsString>,
    timeout: Duration,
}

#[derive(Serialize)]
struct Question<'a> {
    op: &'a str,
    key: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    key: String,
}

enum Heard {
    Out(io::Result<Zeroizing<Vec<u8>>>),
    Err(Vec<u8>),
}

impl CommandKeyProvider {
    /// A provider that runs `program`. `id` names the key that the program uses: choose another when the key
    /// changes.
    pub fn new(id: &str, program: impl Into<OsString>, arguments: Vec<OsString>, timeout: Duration) -> Self {
        Self { id: format!("command:{id}"), program: program.into(), arguments, timeout }
    }

    fn fail(&self, what: impl Into<String>) -> KeyError {
        KeyError::Command { program: self.program.to_string_lossy().into_owned(), what: what.into() }
    }

    fn ask(&self, op: &str, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let key = Zeroizing::new(STANDARD.encode(key));
        let json = serde_json::to_vec(&Question { op, key: &key });
        let mut question = Zeroizing::new(json.map_err(|error| self.fail(error.to_string()))?);
        question.push(b'\n');

        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that whatever it starts ends with it.
        let mut child = command
            .process_group(0)
            .spawn()
            .map_err(|error| self.fail(format!("cannot be started: {error}")))?;
        let result = self.talk(&mut child, question);
        if result.is_err() {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may be gone already.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
        }
        let answer: Answer = serde_json::from_slice(&result?).map_err(|_| {
            self.fail(format!("answered {op} with something else than {{\"key\":\"<base64>\"}}"))
        })?;
        let text = Zeroizing::new(answer.key);
        let bytes = STANDARD.decode(text.as_bytes());
        bytes
            .map(Zeroizing::new)
            .map_err(|_| self.fail(format!("answered {op} with a key that is no base64")))
    }

    /// Hands over the question and hears the answer, all within the time.
    fn talk(&self, child: &mut Child, question: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let until = Instant::now() + self.timeout;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(self.fail("has no standard streams"));
        };
        // A program that needs no input may close it early: its exit code tells whether that was right.
        thread::spawn(move || drop(stdin.write_all(&question)));
        let (heard, ears) = mpsc::channel();
        let out = heard.clone();
        thread::spawn(move || {
            let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER as usize + 1));
            let read = stdout.take(ANSWER + 1).read_to_end(&mut bytes);
            out.send(Heard::Out(read.map(|_| bytes)))
        });
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // Only for the message.
            let _ = stderr.take(2048).read_to_end(&mut bytes);
            heard.send(Heard::Err(bytes))
        });
        let (mut answer, mut complaint) = (None, None);
        while answer.is_none() || complaint.is_none() {
            match ears.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Heard::Out(bytes)) => {
                    let bytes = bytes.map_err(|error| self.fail(format!("cannot be read: {error}")))?;
                    if bytes.len() as u64 > ANSWER {
                        return Err(self.fail(format!("answered with more than {ANSWER} bytes")));
                    }
                    answer = Some(bytes);
                }
                Ok(Heard::Err(bytes)) => complaint = Some(bytes),
                Err(_) => return Err(self.fail(format!("did not answer within {:?}", self.timeout))),
            }
        }
        // Both streams are closed; a program that lives on all the same has until the end of its time.
        let status = loop {
            match child.try_wait().map_err(|error| self.fail(error.to_string()))? {
                Some(status) => break status,
                None if Instant::now() >= until => {
                    return Err(self.fail(format!("did not end within {:?}", self.timeout)));
                }
                None => thread::park_timeout(Duration::from_millis(2)),
            }
        };
        if !status.success() {
            let complaint = complaint.unwrap_or_default();
            let said = String::from_utf8_lossy(&complaint);
            let said = said.trim();
            return Err(self.fail(if said.is_empty() {
                status.to_string()
            } else {
                format!("{status}: {said}")
            }));
        }
        Ok(answer.unwrap_or_default())
    }
}

impl KeyProvider for CommandKeyProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, key: &Secret) -> Result<Vec<u8>, KeyError> {
        let wrapped = self.ask("wrap", key.expose())?;
        if wrapped.is_empty() || wrapped.windows(32).any(|part| part == key.expose()) {
            return Err(self.fail("gave the key back as it is instead of wrapping it"));
        }
        Ok(wrapped.to_vec())
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, KeyError> {
        Secret::from_slice(&self.ask("unwrap", wrapped)?)
            .ok_or_else(|| self.fail("gave a key that has not 32 bytes"))
    }
}
