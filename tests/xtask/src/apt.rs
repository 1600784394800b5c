//! Debian's package sources: which the system has, and packages fetched from them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{process, step::Step};

/// Where Debian keeps the keys that its own archives are signed with.
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One package archive that the system is set up for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub uri: String,
    pub suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

impl Source {
    /// Whether this is a mirror of Debian's main archive, for the release that is installed.
    fn is_debian(&self, release: &str) -> bool {
        let trusted_as_debian = self
            .signed_by
            .as_deref()
            .is_none_or(|keys| keys.contains("debian-archive"));
        trusted_as_debian
            && self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| suite == release)
    }

    /// Whether this is Debian's archive of security updates.
    fn is_debian_security(&self, release: &str) -> bool {
        let wanted = format!("{release}-security");
        self.components.iter().any(|component| component == "main") && self.suites.contains(&wanted)
    }
}

/// The archives that the system's configuration names.
pub fn configured() -> Result<Vec<Source>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in entries {
            files.push(entry?.path());
        }
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let parse: fn(&str) -> Vec<Source> =
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => parse_one_line,
                Some("sources") => parse_deb822,
                _ => continue,
            };
        match fs::read_to_string(&file) {
            Ok(text) => sources.extend(parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
    }
    Ok(sources)
}

/// The release that is installed, for example `bookworm`.
pub fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no release")
}

/// The addresses of the system's Debian mirrors.
pub fn mirrors(sources: &[Source], release: &str) -> Vec<String> {
    addresses(sources, |source| source.is_debian(release))
}

/// The addresses of the system's archives of security updates.
pub fn security_mirrors(sources: &[Source], release: &str) -> Vec<String> {
    addresses(sources, |source| source.is_debian_security(release))
}

fn addresses(sources: &[Source], wanted: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::new();
    for source in sources.iter().filter(|source| wanted(source)) {
        if !addresses.contains(&source.uri) {
            addresses.push(source.uri.clone());
        }
    }
    addresses
}

/// Reads the form `deb [options] uri suite component...`.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let mut signed_by = None;
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (options, after) = bracketed.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned);
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// Reads the form of stanzas with fields `Types`, `URIs`, `Suites`, `Components`, `Signed-By`.
fn parse_deb822(text: &str) -> Vec<Source> {
    let without_comments: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::trim_end)
        .collect();
    without_comments
        .split(|line| line.is_empty())
        .flat_map(parse_stanza)
        .collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Source> {
    let field = |name: &str| -> Vec<String> {
        let mut words = Vec::new();
        let mut inside = false;
        for line in lines {
            if let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
                inside = key.eq_ignore_ascii_case(name);
                if inside {
                    words.extend(value.split_whitespace().map(str::to_owned));
                }
            } else if inside {
                words.extend(line.split_whitespace().map(str::to_owned));
            }
        }
        words
    };
    let disabled = field("Enabled").first().is_some_and(|value| value == "no");
    if disabled || !field("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    field("URIs")
        .into_iter()
        .map(|uri| Source {
            uri,
            suites: field("Suites"),
            components: field("Components"),
            signed_by: field("Signed-By").into_iter().next(),
        })
        .collect()
}

/// The newest of the listed versions of a package whose upstream version is the one wanted. The list
/// is what `apt-cache madison` prints.
pub fn matching_version(madison: &str, wanted: &str) -> Option<String> {
    madison
        .lines()
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .find(|version| {
            version
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '~']))
        })
        .map(str::to_owned)
}

/// Package lists of one suite, kept apart from the system's. The signatures are checked by apt, with
/// the keys that the system trusts Debian's archives by.
pub struct PrivateLists {
    folder: PathBuf,
    options: Vec<String>,
}

impl PrivateLists {
    /// Fetches the package lists of a suite.
    pub fn fetch(folder: &Path, mirror: &str, suite: &str, step: &Step) -> Result<Self> {
        for below in ["lists/partial", "archives/partial", "packages"] {
            fs::create_dir_all(folder.join(below))?;
        }
        let list = folder.join("sources.list");
        fs::write(
            &list,
            format!("deb [signed-by={DEBIAN_KEYS}] {mirror} {suite} main\n"),
        )?;
        let at = |option: &str, below: &str| format!("{option}={}", folder.join(below).display());
        let lists = Self {
            folder: folder.to_path_buf(),
            options: vec![
                at("Dir::Etc::sourcelist", "sources.list"),
                "Dir::Etc::sourceparts=-".to_owned(),
                at("Dir::State::lists", "lists"),
                at("Dir::Cache::archives", "archives"),
                at("Dir::Cache::pkgcache", "pkgcache.bin"),
                at("Dir::Cache::srcpkgcache", "srcpkgcache.bin"),
                // The download user of apt may not enter a private folder.
                "APT::Sandbox::User=".to_owned(),
            ],
        };
        process::run(lists.command("apt-get").args(["-q", "update"]), step)?;
        Ok(lists)
    }

    /// The versions of a package that the suite has.
    pub fn versions(&self, package: &str) -> Result<String> {
        process::output(self.command("apt-cache").args(["madison", package]))
    }

    /// The dependency of a package whose name begins so.
    pub fn dependency(&self, package: &str, beginning: &str) -> Result<Option<String>> {
        let list = process::output(self.command("apt-cache").args(["depends", package]))?;
        Ok(list
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(beginning))
            .map(str::to_owned))
    }

    /// Fetches packages, each `name` or `name=version`, and unpacks them to a folder.
    pub fn unpack(&self, packages: &[String], to: &Path, step: &Step) -> Result<()> {
        let folder = self.folder.join("packages");
        fs::remove_dir_all(&folder)?;
        fs::create_dir_all(&folder)?;
        process::run(
            self.command("apt-get")
                .args(["-q", "download"])
                .args(packages)
                .current_dir(&folder),
            step,
        )?;
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(&folder)? {
            process::run(
                Command::new("dpkg-deb")
                    .arg("-x")
                    .arg(entry?.path())
                    .arg(to),
                step,
            )?;
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// Those of some packages that are not installed.
pub fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    if !process::exists("dpkg-query") {
        bail!(
            "this is no Debian system: install what gives {}",
            packages.join(", ")
        );
    }
    // dpkg-query fails when it does not know one of them, and prints the others all the same.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context("cannot start dpkg-query")?;
    let installed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(packages
        .iter()
        .filter(|name| {
            !installed
                .lines()
                .any(|line| line == format!("{name} installed"))
        })
        .copied()
        .collect())
}

/// Installs packages, as root or through sudo.
pub fn install(packages: &[&str], step: &Step) -> Result<()> {
    let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root && !process::exists("sudo") {
        bail!(
            "run as root: apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"])
            .args(arguments);
        command
    };
    process::run(&mut apt(&["update"]), step)?;
    process::run(
        apt(&["install", "--no-install-recommends"]).args(packages),
        step,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_form() {
        let sources = parse_one_line(
            "# deb http://old.example/debian bookworm main\n\
             deb http://mirror.example/debian bookworm main contrib # ours\n\
             deb-src http://mirror.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/keys/other.gpg] https://other.example/apt stable main\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://mirror.example/debian");
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[1].signed_by.as_deref(), Some("/keys/other.gpg"));
    }

    const DEB822: &str = "Types: deb\n\
        # a comment inside\n\
        URIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\n\
        Components: main\n\
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\
        \n\
        Types: deb deb-src\n\
        URIs: http://mirror.example/debian-security\n\
        Suites:\n bookworm-security\n\
        Components: main\n\
        \n\
        Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n";

    #[test]
    fn stanza_form() {
        let sources = parse_deb822(DEB822);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(sources[1].suites, ["bookworm-security"]);
    }

    #[test]
    fn mirrors_are_those_of_debian_itself() {
        let mut sources = parse_deb822(DEB822);
        sources.extend(parse_one_line(
            "deb [signed-by=/keys/other.gpg] https://other.example/linux bookworm main\n\
             deb http://mirror.example/debian bookworm main\n",
        ));
        assert_eq!(
            mirrors(&sources, "bookworm"),
            ["http://mirror.example/debian"]
        );
        assert_eq!(
            security_mirrors(&sources, "bookworm"),
            ["http://mirror.example/debian-security"]
        );
        assert!(mirrors(&sources, "trixie").is_empty());
    }

    #[test]
    fn versions_match_exactly() {
        let madison = " rust-src | 1.95.1+dfsg1-1~bpo13+1 | http://mirror.example/debian x\n \
             rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://mirror.example/debian x\n \
             rust-src | 1.9.0-1 | http://mirror.example/debian x\n";
        assert_eq!(
            matching_version(madison, "1.95.0").as_deref(),
            Some("1.95.0+dfsg1-2~bpo13+1")
        );
        assert_eq!(
            matching_version(madison, "1.9.0").as_deref(),
            Some("1.9.0-1")
        );
        assert_eq!(matching_version(madison, "1.95"), None);
        assert_eq!(matching_version("", "1.95.0"), None);
    }
}
