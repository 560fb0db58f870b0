//! `klio demo --serve`: the recorded attacks in the window.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser as _;

use super::BUNDLED;
use crate::command::Command;
use crate::failure::Failure;
use crate::lab::recording;

/// How long the server may take until it answers.
const READY: Duration = Duration::from_mins(1);
/// Who signs in.
const USER: &str = "demo";

/// The words of `klio …` as a command.
#[derive(clap::Parser)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

/// Keeps the recorded attacks in a lake of their own and serves it until it is told to end, or for so long.
pub(super) fn serve(lasting: Option<Duration>) -> Result<(), Failure> {
    let place = tempfile::tempdir()?;
    let data = place.path().join("lake");
    std::fs::create_dir(&data)?;
    let (listen, ops) = (free()?, free()?);
    std::fs::write(data.join("klio.yaml"), format!("server:\n  listen: {listen}\n  ops: {ops}\n"))?;
    // Each log comes from a cluster of its own: two intruders who bear one name are two.
    for (number, (name, from)) in BUNDLED.into_iter().enumerate() {
        let path = place.path().join(name);
        std::fs::write(&path, recording(from).unwrap_or_default())?;
        let cluster = if number == 0 { "prod" } else { name.split('.').next().unwrap_or(name) };
        run(&["ingest", &text(&path), "--cluster", cluster], &data)?;
    }
    let password = password()?;
    let file = place.path().join("password");
    std::fs::write(&file, &password)?;
    run(&["user", "add", USER, "--role", "admin", "--password-file", &text(&file)], &data)?;
    std::thread::spawn(move || tell(listen, &password, lasting));
    run(&["serve", "--log", "warn"], &data)
}

/// As if the words were typed.
fn run(words: &[&str], data: &Path) -> Result<(), Failure> {
    let data = text(data);
    let words = ["klio"].into_iter().chain(words.iter().copied()).chain(["--data", &data]);
    Words::try_parse_from(words).map_err(Failure::usage)?.command.run()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A port that nobody uses, on this machine alone.
fn free() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn password() -> Result<String, Failure> {
    let mut random = [0; 9];
    getrandom::fill(&mut random).map_err(Failure::world)?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Says where the window is once it is open, and closes it when its time is over.
fn tell(listen: SocketAddr, password: &str, lasting: Option<Duration>) {
    let begun = Instant::now();
    while TcpStream::connect(listen).is_err() && begun.elapsed() < READY {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let ends = match lasting {
        Some(lasting) => {
            format!("in {} minutes, or with `kill {}`", lasting.as_secs() / 60, std::process::id())
        }
        None => "with Ctrl-C".to_owned(),
    };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "\nThe window is open: https://{listen}/incidents\n  \
         user      {USER}\n  password  {password}\n\
         The certificate is its own: the browser asks whether you trust it. It closes {ends}."
    );
    let _ = out.flush();
    drop(out);
    let Some(lasting) = lasting else { return };
    while begun.elapsed() < lasting {
        std::thread::park_timeout(lasting);
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}
