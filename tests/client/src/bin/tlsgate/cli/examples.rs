//! What stands behind each command's help: examples, and what a script must know.

/// Behind the program's own help.
pub const FIRST_STEPS: &str = "\
First steps, as an administrator:
  tlsgate install
  tlsgate cert new
  tlsgate serve --cert THUMBPRINT
and then, in another window:
  curl --insecure https://127.0.0.1:8443/

Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  the driver is not there: not installed, or not running
  4  access denied: run it as an administrator, or have the driver admit the account
  5  the driver that runs speaks another ABI version than this program

Messages go to the standard error, what a script would read to the standard output. Both are coloured
on a terminal, unless NO_COLOR is set.";

/// Behind `tlsgate install --help`.
pub const INSTALL: &str = "\
Examples:
  tlsgate install                          tlsgate.sys lies beside this program
  tlsgate install --driver C:\\drop\\tlsgate.sys";

/// Behind `tlsgate doctor --help`.
pub const DOCTOR: &str = "\
The exit code is 0 when the driver runs and this program can use it, otherwise 1. That there is no
certificate is told, and is no failure: a client needs none.

Examples:
  tlsgate doctor
  tlsgate doctor --json";

/// Behind `tlsgate stats --help`.
pub const STATS: &str = "\
Examples:
  tlsgate stats
  tlsgate stats --watch                    every second, until Ctrl-C
  tlsgate stats --watch 5 --times 12       a minute of it
  tlsgate stats --json
  tlsgate stats --watch --json             a line a second";

/// Behind `tlsgate cert --help`.
pub const CERT: &str = "\
Examples:
  tlsgate cert new --name example.test --ip 192.0.2.1
  tlsgate cert import server.pfx --password secret
  tlsgate cert import ca.pem --store ROOT
  tlsgate cert list --json
  tlsgate cert remove THUMBPRINT";

/// Behind `tlsgate serve --help`.
pub const SERVE: &str = "\
Examples:
  tlsgate serve --cert THUMBPRINT
  tlsgate serve --cert THUMBPRINT --alpn h2,http/1.1 --listen 0.0.0.0:443
  tlsgate serve --cert FIRST --cert SECOND --dir C:\\site
  tlsgate serve --cert THUMBPRINT --echo --client-auth require
  tlsgate serve --cert THUMBPRINT --to 127.0.0.1:80";

/// Behind `tlsgate connect --help`.
pub const CONNECT: &str = "\
The standard output has what the server sent and nothing else; everything that this program says is on
the standard error.

Examples:
  tlsgate connect example.org:443
  tlsgate connect 127.0.0.1:8443 --server-name localhost --manual-check
  tlsgate connect example.org:443 --alpn h2 --resume 1 --json";

/// Behind `tlsgate forward --help`.
pub const FORWARD: &str = "\
Examples:
  tlsgate forward example.org:443 --listen 127.0.0.1:8080";
