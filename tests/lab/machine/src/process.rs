//! Programs on the machine: one that is waited for, and one that goes on running.

use crate::{files, wait::wait_until};
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to say what is waited for, or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of a program.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error, with what Wine wrote there.
    pub stderr: String,
    command: String,
}

impl Output {
    /// The output of a program that must have succeeded.
    ///
    /// # Errors
    ///
    /// It did not; the message has everything it said.
    pub fn success(self) -> Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        bail!(
            "{} ended with {:?}\n{}{}",
            self.command,
            self.code,
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// Runs a command to its end, or kills it at the limit. Its standard error is added to `log`.
///
/// Its output goes through files: what it starts in the background inherits them and would keep a
/// pipe open.
pub fn run(mut command: Command, input: Stdio, limit: Duration, log: &Path) -> Result<Output> {
    let name = name(&command);
    let (mut stdout, mut stderr) = (scratch(log, "out")?, scratch(log, "err")?);
    command
        .stdin(input)
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let status = wait_for_end(&mut child, limit);
    let output = Output {
        code: status.as_ref().ok().and_then(ExitStatus::code),
        stdout: contents(&mut stdout)?,
        stderr: contents(&mut stderr)?,
        command: name,
    };
    append(log, &output.stderr)?;
    match status {
        Ok(_) => Ok(output),
        Err(error) => Err(error)
            .with_context(|| format!("{}\n{}{}", output.command, output.stdout, output.stderr)),
    }
}

/// The command as messages show it: without its environment.
fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// An unnamed file beside the log.
fn scratch(log: &Path, kind: &str) -> Result<File> {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = log.with_extension(format!("{}-{number}.{kind}", std::process::id()));
    let file = File::options()
        .read(true)
        .append(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn contents(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}

fn append(log: &Path, text: &str) -> io::Result<()> {
    File::options()
        .append(true)
        .create(true)
        .open(log)?
        .write_all(text.as_bytes())
}

/// Waits for a process; kills it at the limit, which is an error.
fn wait_for_end(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let ended = wait_until("the program to end", limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    ended
}

/// A program that goes on running. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
    log: PathBuf,
}

impl Running {
    /// Starts it; its standard input stays open until [`Self::close_input`].
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let errors = log.with_extension(format!("{}-{number}.running", std::process::id()));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", name(&command)))?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        let lines = read_lines(stdout)?;
        Ok(Self {
            child,
            lines,
            errors,
            log: log.to_owned(),
        })
    }

    /// The process on the host, for whoever wants to look at it or kill it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output.
    ///
    /// # Errors
    ///
    /// It ended, or said nothing for a minute.
    pub fn line(&self) -> Result<String> {
        self.line_within(PATIENCE)
    }

    /// What follows `prefix` in the first line that starts with it; other lines are passed over.
    ///
    /// # Errors
    ///
    /// No such line came within a minute.
    pub fn line_after(&self, prefix: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self
                .line_within(deadline.saturating_duration_since(Instant::now()))
                .with_context(|| format!("while waiting for a line that starts with {prefix:?}"))?;
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
    }

    fn line_within(&self, limit: Duration) -> Result<String> {
        self.lines.recv_timeout(limit).map_err(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "the program said nothing more",
                RecvTimeoutError::Disconnected => "the program's output has ended",
            };
            anyhow::anyhow!("{what}\n{}", self.stderr().unwrap_or_default())
        })
    }

    /// The last line of its standard output that has come so far; it and those before are forgotten. For
    /// whoever runs it long and is not interested in every line.
    #[must_use]
    pub fn last_line_so_far(&self) -> Option<String> {
        self.lines.try_iter().last()
    }

    /// Its standard error so far, with what Wine wrote there.
    ///
    /// # Errors
    ///
    /// The file that collects it cannot be read.
    pub fn stderr(&self) -> Result<String> {
        Ok(files::read_if_present(&self.errors)?.replace("\r\n", "\n"))
    }

    /// Says a line on its standard input.
    ///
    /// # Errors
    ///
    /// It does not listen any more.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut();
        let input = input.context("the program's input is closed")?;
        writeln!(input, "{line}").context("the program does not listen")
    }

    /// Closes its standard input: what `--until-stdin-closes` waits for.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until it ends and gives its exit code.
    ///
    /// # Errors
    ///
    /// It did not end within a minute and was killed.
    pub fn end(mut self) -> Result<Option<i32>> {
        self.close_input();
        Ok(wait_for_end(&mut self.child, PATIENCE)?.code())
    }

    /// Ends it as a power failure of the program would: without its doing.
    ///
    /// # Errors
    ///
    /// The host does not let it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.stderr().unwrap_or_default();
        if append(&self.log, &said).is_ok() {
            let _ = fs::remove_file(&self.errors);
        }
    }
}

/// A thread reads, so that a wait for a line can have a limit.
fn read_lines(stdout: ChildStdout) -> io::Result<Receiver<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("lines".into()).spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_code_are_kept_apart_and_errors_logged() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let command = shell("echo out; echo err >&2; exit 3");
        let output = run(command, Stdio::null(), PATIENCE, &log).unwrap();
        assert_eq!(
            (output.code, &*output.stdout, &*output.stderr),
            (Some(3), "out\n", "err\n")
        );
        assert_eq!(fs::read_to_string(log).unwrap(), "err\n");
        assert!(output.success().unwrap_err().to_string().contains("err"));
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_what_it_said_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let command = shell("echo before; exec sleep 1000");
        let limit = Duration::from_millis(300);
        let error = run(command, Stdio::null(), limit, &folder.path().join("log")).unwrap_err();
        assert!(format!("{error:#}").contains("before"), "{error:#}");
    }

    #[test]
    fn a_child_left_behind_does_not_hold_the_run_up() {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let command = shell("sleep 20 & echo done");
        let output = run(command, Stdio::null(), PATIENCE, &folder.path().join("log")).unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_running_program_is_heard_line_by_line_until_its_input_closes() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut running = Running::start(
            shell("echo starting; echo port 7; cat; echo end >&2; exit 5"),
            &log,
        )
        .unwrap();
        assert_eq!(running.line_after("port ").unwrap(), "7");
        running.say("said").unwrap();
        assert_eq!(running.line().unwrap(), "said");
        running.close_input();
        assert_eq!(running.end().unwrap(), Some(5));
        assert_eq!(fs::read_to_string(log).unwrap(), "end\n");
    }
}
