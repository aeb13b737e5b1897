//! `dogwatch peek`: one look from inside an environment, whatever its image lacks. Prints what it saw in one line and ends
//! with 0 when it is there. Keeps nothing, tries once, is bounded in time by whoever started it.

use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// What is looked at: its kind and where.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct PeekArgs {
    /// http, tcp or file
    pub kind: String,
    pub place: String,
    /// A look is given up after so many milliseconds
    #[arg(long, default_value_t = 10_000)]
    pub limit_ms: u64,
}

/// Looks once. Whether it is there, and what was seen.
pub fn look(args: &PeekArgs) -> (bool, String) {
    let limit = Duration::from_millis(args.limit_ms.max(1));
    match args.kind.as_str() {
        "http" => http(&args.place, limit),
        "tcp" => tcp(&args.place, limit),
        "file" => file(&args.place),
        other => (false, format!("this dogwatch cannot look for {other}")),
    }
}

/// Entry of the binary.
pub fn main(args: &PeekArgs) -> ExitCode {
    let (good, seen) = look(args);
    // Who asked reads the code where nothing can be written.
    drop(writeln!(std::io::stdout(), "{seen}"));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn http(url: &str, limit: Duration) -> (bool, String) {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        // What another address says is not what was asked for.
        .max_redirects(0)
        .user_agent(concat!("dogwatch/", env!("CARGO_PKG_VERSION")))
        .build();
    match ureq::Agent::new_with_config(config).get(url).call() {
        Ok(answer) => {
            let status = answer.status();
            (status.is_success() || status.is_redirection(), format!("answers {status}"))
        }
        Err(ureq::Error::Timeout(_)) => (false, format!("no answer within {} s", limit.as_secs())),
        Err(ureq::Error::Io(error)) => (false, words(&error)),
        Err(error) => (false, error.to_string()),
    }
}

fn tcp(place: &str, limit: Duration) -> (bool, String) {
    let addresses = match place.to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => return (false, words(&error)),
    };
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, share) {
            Ok(_) => return (true, "takes connections".into()),
            Err(error) => last = words(&error),
        }
    }
    (false, last)
}

fn file(path: &str) -> (bool, String) {
    match std::fs::metadata(path) {
        Ok(_) => (true, "there".into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (false, "not there".into()),
        Err(error) => (false, words(&error)),
    }
}

/// The same words for the same reason, whichever address it was.
fn words(error: &std::io::Error) -> String {
    let kind = error.kind();
    if kind == std::io::ErrorKind::ConnectionRefused {
        "connection refused".into()
    } else if matches!(kind, std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock) {
        "no answer in time".into()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(kind: &str, place: &str) -> (bool, String) {
        look(&PeekArgs { kind: kind.into(), place: place.into(), limit_ms: 5_000 })
    }

    /// Answers one request with this status.
    fn server(status: &'static str) -> std::net::SocketAddr {
        use std::io::Read;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        });
        address
    }

    #[test]
    fn an_address_is_there_when_it_answers_well() {
        assert_eq!(peek("http", &format!("http://{}/health", server("200 OK"))), (true, "answers 200 OK".into()));
        assert!(peek("http", &format!("http://{}/", server("302 Found"))).0);
        let down = peek("http", &format!("http://{}/", server("503 Service Unavailable")));
        assert_eq!(down, (false, "answers 503 Service Unavailable".into()));
    }

    #[test]
    fn what_is_not_there_says_so_in_words_that_stay_the_same() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        assert_eq!(peek("tcp", &free.to_string()), (false, "connection refused".into()));
        assert_eq!(peek("http", &format!("http://{free}/")), (false, "connection refused".into()));
        assert_eq!(peek("file", "/nowhere/at/all"), (false, "not there".into()));
        assert_eq!(peek("file", "/"), (true, "there".into()));
        let open = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let place = open.local_addr().expect("it is bound").to_string();
        assert_eq!(peek("tcp", &place), (true, "takes connections".into()));
        assert!(!peek("tcp", "no-such-host.invalid:80").0);
        assert!(!peek("moon", "full").0);
    }
}
