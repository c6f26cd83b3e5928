//! The settings, from flags, environment, file and defaults, checked and complete.
//!
//! Everything that can be wrong with them is found here, before anything is opened, and said with the way
//! out. Types that hold keys have no `Debug`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use etcetera::BaseStrategy as _;
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;
use tracing_subscriber::filter::Targets;

use crate::cli::{CliOptions, DEFAULT_LOG, DEFAULT_PORT, DEFAULT_RUNNING, MAX_RUNNING, Serve};
use crate::keys::variable;
use crate::secret::{Secret, SecretHash};

/// Where Anthropic's models are, unless told.
pub(crate) const DEFAULT_ANTHROPIC: &str = "https://api.anthropic.com";

/// All settings of a runner that serves.
pub(crate) struct Config {
    /// Where commands run: absolute, without symlinks.
    pub(crate) workspace: PathBuf,
    /// Where the runner keeps what it knows.
    pub(crate) state_dir: PathBuf,
    /// The address to listen on.
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 for any.
    pub(crate) port: u16,
    /// Whether to open a browser.
    pub(crate) open: bool,
    /// What to log.
    pub(crate) log: Targets,
    /// Further origins that may talk to the runner, as browsers write them.
    pub(crate) dev_origins: Vec<String>,
    /// Further origins that the page may fetch from, as browsers write them.
    pub(crate) connect: Vec<String>,
    /// How many commands run at once.
    pub(crate) max_running: u16,
    /// With `Some` commands are confined to the workspace, a temporary folder and these paths, absolute.
    pub(crate) confine: Option<Vec<PathBuf>>,
    /// The relay's upstream.
    pub(crate) anthropic: Upstream,
}

/// A model provider that the relay knows.
pub(crate) struct Upstream {
    /// Without a slash at its end.
    pub(crate) base: String,
    /// Without it the relay refuses with a sentence that says how to set it.
    pub(crate) key: Option<Secret>,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("The configuration file {path} could not be read: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("The configuration file {path} is wrong at line {line}: {message}")]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("The configuration file {0} holds a key, and others may read it. Run: chmod 600 {0}")]
    Readable(PathBuf),
    #[error(
        "The workspace {path} cannot be used: {error}. Name a folder that is there with --workspace DIR."
    )]
    Workspace { path: PathBuf, error: io::Error },
    #[error("There is no home folder to keep state in. Name a folder with --state-dir DIR.")]
    NoHome,
    #[error(
        "{0} is not a loopback address: everybody who reaches it could try to run commands as you, and everybody on the \
         way could read and change what is said, for there is no encryption; and browsers on other machines pair only over \
         https. Use an SSH tunnel (ssh -L 8757:127.0.0.1:8757 HOST), or, if you know what you do, add --dangerously-expose."
    )]
    Exposed(IpAddr),
    #[error(
        "{setting}: {text:?} is not an origin. It must look like http://127.0.0.1:8080, with nothing behind the port."
    )]
    Origin { setting: &'static str, text: String },
    #[error("--writable {path} cannot be used: {error}. Name folders or files that are there.")]
    Writable { path: PathBuf, error: io::Error },
    #[error("--writable says where confined commands may write, and they are not confined. Add --confine.")]
    NotConfined,
    #[error(
        "--confine: the state folder {state} lies in {folder}, where commands may write, so they could change what the runner \
         knows. Choose another workspace, or another --state-dir DIR."
    )]
    StateInside { state: PathBuf, folder: PathBuf },
    #[error("max_running: {0} is not from 1 to {MAX_RUNNING}.")]
    MaxRunning(u16),
    #[error("ANTHROPIC_BASE_URL: {0:?} is not an address. It must look like https://api.anthropic.com.")]
    Base(String),
    #[error(
        "ANTHROPIC_API_KEY holds characters that cannot be in a header. Copy it again, without spaces or line ends."
    )]
    Key,
    #[error(
        "--log: {0:?} is not a filter. Use off, error, warn, info, debug or trace, or module=level pairs with commas between."
    )]
    Log(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    workspace: Option<PathBuf>,
    port: Option<u16>,
    host: Option<IpAddr>,
    open: Option<bool>,
    state_dir: Option<PathBuf>,
    log: Option<String>,
    #[serde(default)]
    dev_origins: Vec<String>,
    #[serde(default)]
    connect: Vec<String>,
    max_running: Option<u16>,
    confine: Option<bool>,
    #[serde(default)]
    writable: Vec<PathBuf>,
    #[serde(default)]
    anthropic: FileUpstream,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUpstream {
    api_key: Option<String>,
    base_url: Option<String>,
}

impl Config {
    /// Settles everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with the way out.
    pub(crate) fn new(options: &CliOptions, serve: Serve) -> Result<Self, ConfigError> {
        let file = read_file(options.config.as_deref())?;
        let (workspace, state_dir) = resolve_options(options, &file)?;
        let host = serve.host.or(file.host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if !host.is_loopback() && !serve.dangerously_expose {
            return Err(ConfigError::Exposed(host));
        }
        let max_running = serve.max_running.or(file.max_running).unwrap_or(DEFAULT_RUNNING);
        if !(1..=MAX_RUNNING).contains(&max_running) {
            return Err(ConfigError::MaxRunning(max_running));
        }
        let log = serve.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned());
        let log = log.parse().map_err(|_| ConfigError::Log(log))?;
        let confine = if serve.confine.or(file.confine).unwrap_or(false) {
            let writable = if serve.writable.is_empty() { file.writable } else { serve.writable };
            Some(resolve_confine(&workspace, &state_dir, writable)?)
        } else if serve.writable.is_empty() {
            None
        } else {
            return Err(ConfigError::NotConfined);
        };
        let base = variable("ANTHROPIC_BASE_URL").or(file.anthropic.base_url);
        let key = variable("ANTHROPIC_API_KEY").or(file.anthropic.api_key);
        Ok(Self {
            workspace,
            state_dir,
            host,
            port: serve.port.or(file.port).unwrap_or(DEFAULT_PORT),
            open: serve.no_open.map_or(file.open.unwrap_or(true), |no_open| !no_open),
            log,
            dev_origins: origins("--dev-origin", serve.dev_origin, file.dev_origins)?,
            connect: origins("--connect", serve.connect, file.connect)?,
            max_running,
            confine,
            anthropic: Upstream { base: resolve_base(base)?, key: resolve_key(key)? },
        })
    }
}

/// Workspace and state folder, for the subcommands.
///
/// # Errors
/// What is wrong with them, or with the configuration file.
pub(crate) fn resolve(options: &CliOptions) -> Result<(PathBuf, PathBuf), ConfigError> {
    resolve_options(options, &read_file(options.config.as_deref())?)
}

fn resolve_options(options: &CliOptions, file: &File) -> Result<(PathBuf, PathBuf), ConfigError> {
    let workspace = options.workspace.as_ref().or(file.workspace.as_ref());
    let workspace = workspace.cloned().unwrap_or_else(|| PathBuf::from("."));
    let workspace = fs::canonicalize(&workspace)
        .and_then(|path| if path.is_dir() { Ok(path) } else { Err(io::ErrorKind::NotADirectory.into()) })
        .map_err(|error| ConfigError::Workspace { path: workspace, error })?;
    let state_dir = match options.state_dir.as_ref().or(file.state_dir.as_ref()) {
        Some(path) => path.clone(),
        None => default_state_dir(&workspace)?,
    };
    // Collected from its components: a slash at the end would make the system follow a symlink.
    let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir).components().collect();
    Ok((workspace, state_dir))
}

/// The named paths as they are; and the state folder in none of those that commands may write to.
fn resolve_confine(
    workspace: &Path,
    state_dir: &Path,
    named: Vec<PathBuf>,
) -> Result<Vec<PathBuf>, ConfigError> {
    let real = |path: PathBuf| fs::canonicalize(&path).map_err(|error| ConfigError::Writable { path, error });
    let named: Vec<PathBuf> = named.into_iter().map(real).collect::<Result<_, _>>()?;
    // It may not be there yet; then what is there of its path decides.
    let there = state_dir.ancestors().find_map(|path| {
        let rest = state_dir.strip_prefix(path).ok()?;
        Some(fs::canonicalize(path).ok()?.join(rest))
    });
    let state = there.unwrap_or_else(|| state_dir.to_owned());
    let folders = || [workspace].into_iter().chain(named.iter().map(PathBuf::as_path));
    let inside = folders().find(|folder| state.starts_with(folder)).map(Path::to_owned);
    inside.map_or(Ok(named), |folder| Err(ConfigError::StateInside { state, folder }))
}

fn default_state_dir(workspace: &Path) -> Result<PathBuf, ConfigError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| ConfigError::NoHome)?;
    let mut digest = SecretHash::of(&workspace.to_string_lossy()).hex();
    digest.truncate(8);
    let name: String = workspace
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
        .take(32)
        .collect();
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("meanwhile");
    Ok(folder.join(if name.is_empty() { digest } else { format!("{name}-{digest}") }))
}

fn read_file(named: Option<&Path>) -> Result<File, ConfigError> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => match etcetera::choose_base_strategy() {
            Ok(strategy) => strategy.config_dir().join("meanwhile/config.toml"),
            Err(_) => return Ok(File::default()),
        },
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(File::default());
        }
        Err(error) => return Err(ConfigError::File { path, error }),
    };
    // Not the error's own text: it quotes the line, which may hold a key.
    let file: File = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..before].split(|byte| *byte == b'\n').count();
        ConfigError::Syntax { path: path.clone(), line, message: error.message().to_owned() }
    })?;
    if file.anthropic.api_key.is_some() && others_may_read(&path) {
        return Err(ConfigError::Readable(path));
    }
    Ok(file)
}

fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn origins(
    setting: &'static str,
    options: Vec<String>,
    file: Vec<String>,
) -> Result<Vec<String>, ConfigError> {
    let given = if options.is_empty() { file } else { options };
    given
        .into_iter()
        .map(|text| {
            let url = Url::parse(text.trim()).ok();
            url.filter(|url| matches!(url.scheme(), "http" | "https"))
                .filter(|url| {
                    matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none()
                })
                .filter(|url| url.username().is_empty() && url.password().is_none())
                .map(|url| url.origin().ascii_serialization())
                .ok_or(ConfigError::Origin { setting, text })
        })
        .collect()
}

fn resolve_base(base: Option<String>) -> Result<String, ConfigError> {
    let Some(text) = base else { return Ok(DEFAULT_ANTHROPIC.to_owned()) };
    let fits = Url::parse(text.trim()).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    // Some give the address with the version, as the path of other providers' base addresses ends.
    let base = text.trim().trim_end_matches('/').trim_end_matches("/v1");
    if fits { Ok(base.to_owned()) } else { Err(ConfigError::Base(text)) }
}

fn resolve_key(key: Option<String>) -> Result<Option<Secret>, ConfigError> {
    key.map(|key| {
        let key = key.trim();
        if key.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Secret::new(key))
        } else {
            Err(ConfigError::Key)
        }
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn resolve(arguments: &[&str]) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from([&["meanwhile"], arguments].concat())
            .unwrap_or_else(|error| panic!("{error}"));
        Config::new(&cli.options, cli.serve)
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, String) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn only_loopback_without_the_frightening_flag() {
        for host in ["0.0.0.0", "::", "192.168.1.2", "::ffff:10.0.0.1"] {
            assert!(matches!(resolve(&["--host", host]), Err(ConfigError::Exposed(_))), "{host}");
        }
        assert!(resolve(&["--host", "0.0.0.0", "--dangerously-expose"]).is_ok());
        for host in ["127.0.0.1", "::1", "127.0.0.2"] {
            assert!(resolve(&["--host", host]).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let (_folder, path) = file("port = 1\nopen = false\nlog = \"warn\"\n", 0o644);
        let config = resolve(&["--config", &path]).map_err(|error| error.to_string()).ok().unwrap();
        assert_eq!((config.port, config.open), (1, false));
        let config = resolve(&["--config", &path, "--port", "2", "--no-open=false"]).ok().unwrap();
        assert_eq!((config.port, config.open), (2, true));
    }

    #[test]
    fn how_many_run_at_once_has_bounds_wherever_it_is_said() {
        assert_eq!(resolve(&["--config", "/dev/null"]).ok().unwrap().max_running, DEFAULT_RUNNING);
        let (_folder, path) = file("max_running = 7\n", 0o644);
        assert_eq!(resolve(&["--config", &path]).ok().unwrap().max_running, 7);
        assert_eq!(resolve(&["--config", &path, "--max-running", "2000"]).ok().unwrap().max_running, 2_000);
        let (_folder, path) = file("max_running = 0\n", 0o644);
        assert!(matches!(resolve(&["--config", &path]), Err(ConfigError::MaxRunning(0))));
        for wrong in ["0", "10001"] {
            assert!(Cli::try_parse_from(["meanwhile", "--max-running", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line_and_without_its_text() {
        let (_folder, path) = file("port = 1\n[anthropic]\napi_key = sk-very-secret\n", 0o600);
        let Err(error) = resolve(&["--config", &path]) else { panic!("it was taken") };
        let message = error.to_string();
        assert!(
            message.contains("line 3") && message.contains(&path) && !message.contains("very-secret"),
            "{message}"
        );
    }

    #[test]
    fn a_key_in_a_file_that_others_may_read_is_refused() {
        let text = "[anthropic]\napi_key = \"sk-1\"\n";
        let (_folder, path) = file(text, 0o640);
        assert!(matches!(resolve(&["--config", &path]), Err(ConfigError::Readable(_))));
        let (_folder, path) = file(text, 0o600);
        assert!(resolve(&["--config", &path]).is_ok_and(|config| config.anthropic.key.is_some()));
    }

    #[test]
    fn origins_are_origins() {
        assert_eq!(
            origins("x", vec!["HTTP://LocalHost:8080/".into()], vec![]).unwrap(),
            ["http://localhost:8080"]
        );
        for wrong in ["localhost:8080", "http://a/b", "http://a?b", "ftp://a", "http://u:p@a", "null", "*"] {
            assert!(origins("x", vec![wrong.into()], vec![]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_upstream_is_an_address() {
        assert_eq!(resolve_base(Some("http://127.0.0.1:1/v1/".into())).unwrap(), "http://127.0.0.1:1");
        assert_eq!(resolve_base(None).unwrap(), DEFAULT_ANTHROPIC);
        assert!(resolve_base(Some("api.anthropic.com".into())).is_err());
        assert!(resolve_key(Some("a b".into())).is_err());
    }

    #[test]
    fn what_confined_commands_may_write_to_is_there_and_holds_no_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().canonicalize().unwrap().join(name).to_str().unwrap().to_owned();
        let (work, state, extra) = (path("work"), path("state"), path("extra"));
        fs::create_dir(&work).unwrap();
        fs::create_dir(&extra).unwrap();
        let with = |more: &[&str]| {
            resolve(&[&["--config", "/dev/null", "--workspace", &work, "--state-dir", &state], more].concat())
        };
        assert_eq!(with(&[]).ok().unwrap().confine, None);
        assert_eq!(with(&["--confine"]).ok().unwrap().confine, Some(vec![]));
        let named = with(&["--confine", "--writable", &extra]).ok().unwrap().confine;
        assert_eq!(named, Some(vec![PathBuf::from(&extra)]));
        assert!(matches!(with(&["--writable", &extra]), Err(ConfigError::NotConfined)));
        let missing = path("missing");
        assert!(matches!(with(&["--confine", "--writable", &missing]), Err(ConfigError::Writable { .. })));
        let whole = folder.path().to_str().unwrap();
        assert!(matches!(with(&["--confine", "--writable", whole]), Err(ConfigError::StateInside { .. })));
        let inside =
            resolve(&["--config", "/dev/null", "--confine", "--workspace", whole, "--state-dir", &state]);
        assert!(matches!(inside, Err(ConfigError::StateInside { .. })));
    }

    #[test]
    fn two_workspaces_have_two_state_folders() {
        let one = default_state_dir(Path::new("/a/project")).unwrap();
        let two = default_state_dir(Path::new("/b/project")).unwrap();
        assert!(one != two && one.to_string_lossy().contains("meanwhile/project-"), "{one:?}");
    }
}
