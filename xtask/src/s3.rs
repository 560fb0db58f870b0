//! An S3 server on this machine for the test of object storage: moto, a Python package, in a virtual environment below
//! the target directory. Without Python or a package index the test is skipped, with a word.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run;

/// The package and its version.
const PACKAGE: &str = "moto[server]==5.2.5";
/// How long it may take to answer after it was started.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that ends with this value.
pub struct Server {
    child: Child,
    pub endpoint: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server on a free port; installs it first if need be.
pub fn start() -> Result<Server, String> {
    let program = installed()?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
    let mut command = Command::new(&program);
    command.args(["-H", "127.0.0.1", "-p", &free.port().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
    let server = Server { child, endpoint: format!("http://{free}") };
    let begun = Instant::now();
    while TcpStream::connect(free).is_err() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{} does not answer", program.display()));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    Ok(server)
}

/// The server's program.
fn installed() -> Result<PathBuf, String> {
    let home = run::target().join("moto");
    let program = home.join("bin/moto_server");
    if program.is_file() {
        return Ok(program);
    }
    let mut make = Command::new("python3");
    // From nothing: half an installation would be taken for a whole one.
    make.args(["-m", "venv", "--clear"]).arg(&home);
    run::run(make)?;
    let mut install = Command::new(home.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    run::run(install)?;
    Ok(program)
}
