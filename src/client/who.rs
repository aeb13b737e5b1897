//! Who asks, as it is recorded with each decision. Reads this process's user, host and SSH connection, nothing else.

/// The name that is said in the handshake, and through which face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// `user@host`.
    pub principal: String,
    /// `cli`, `screen`, `mcp`.
    pub face: String,
}

impl Who {
    /// The person at this face: as `named`, else the user at the host that the SSH connection comes from, else the user at
    /// this host.
    pub fn new(named: Option<&str>, face: &str) -> Self {
        let named = named.map(str::trim).filter(|name| !name.is_empty());
        let principal = named.map_or_else(
            || {
                let host = std::env::var("SSH_CONNECTION").ok().and_then(|from| client_host(&from));
                format!("{}@{}", user(), host.unwrap_or_else(this_host))
            },
            str::to_owned,
        );
        Self { principal, face: face.into() }
    }
}

/// The first word of `SSH_CONNECTION`: `client port server port`.
fn client_host(connection: &str) -> Option<String> {
    connection.split_whitespace().next().map(str::to_owned)
}

fn this_host() -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    host.split('.').next().unwrap_or("host").to_owned()
}

/// `$USER` may say anything: it counts only where the user id has no name.
fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|passwd| user_name(&passwd, uid))
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| format!("uid{uid}"))
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?;
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_name_counts_first() {
        assert_eq!(Who::new(Some(" ops@desk "), "cli").principal, "ops@desk");
        assert!(Who::new(Some(" "), "cli").principal.contains('@'));
        assert_eq!(client_host("10.0.0.7 51000 10.0.0.1 22").as_deref(), Some("10.0.0.7"));
        assert_eq!(user_name("root:x:0:0::/:/bin/sh\nops:x:7:7::/:/bin/sh", 7).as_deref(), Some("ops"));
    }
}
