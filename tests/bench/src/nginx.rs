//! nginx, as a yardstick that nobody here wrote: HTTP/1.1 with keep-alive on both sides and no response buffering.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::flags::{Flags, Known};

/// The command's flags.
pub const FLAGS: Known = &[
    ("upstream", "HOST:PORT to pass everything to, 127.0.0.1:9000 by default"),
    ("listen", "HOST:PORT, 127.0.0.1:9001 by default"),
    ("workers", "worker processes, 2 by default"),
    ("dir", "where it may write its pid and temporary files, . by default"),
];

/// Worker processes in `quick`: as many as the other proxies have threads.
pub const WORKERS: usize = crate::proxy::WORKERS;

/// Prints the configuration.
pub fn print(flags: &Flags) -> Result<()> {
    let text = |name, default| flags.text(name).unwrap_or(default);
    let dir = std::path::absolute(text("dir", "."))?;
    let (listen, upstream) = (text("listen", "127.0.0.1:9001"), text("upstream", "127.0.0.1:9000"));
    println!("{}", configuration(listen, upstream, flags.or("workers", WORKERS)?, &dir));
    Ok(())
}

/// The installed nginx, if there is one. Debian puts it where an ordinary user's `PATH` does not look.
pub fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

/// The command that runs it in the foreground, its configuration and files under `dir`.
pub fn command(binary: &Path, listen: &str, upstream: &str, dir: &Path) -> Result<Command> {
    let file = dir.join("nginx.conf");
    std::fs::write(&file, configuration(listen, upstream, WORKERS, dir)).with_context(|| format!("write {}", file.display()))?;
    let mut command = Command::new(binary);
    command.arg("-p").arg(dir).arg("-c").arg(file).args(["-e", "stderr"]);
    Ok(command)
}

fn configuration(listen: &str, upstream: &str, workers: usize, dir: &Path) -> String {
    let dir = dir.display();
    // `keepalive_requests` on both sides: the default closes a connection after its thousandth request.
    // `reuseport`: without it one worker tends to accept every connection.
    format!(
        "daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/client;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000000;
    upstream backend {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} reuseport;
        client_max_body_size 8m;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}"
    )
}
