//! Settings from TOML and from the environment. Unknown keys are refused, with a suggestion.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::WorkerConfig;
use super::options::{ConfigOption, OPTIONS, Place};
use super::origins::limit_of;
use crate::span;

/// What the variables of a worker begin with.
pub(super) const PREFIX: &str = "TASK_RETRY_WORKER_";
/// What errors call the environment.
const ENVIRONMENT: &str = "the environment";

/// Why settings cannot be read. It names the file or the variable, and the key.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The text is no TOML.
    Syntax {
        /// The file, or what the text was called.
        origin: String,
        /// Where and why.
        error: toml::de::Error,
    },
    /// There is no such setting.
    Unknown {
        /// The file or the environment.
        origin: String,
        /// The key or the variable.
        key: String,
        /// The one that was most likely meant.
        suggestion: Option<String>,
    },
    /// The value of a setting cannot be read.
    Value {
        /// The file or the environment.
        origin: String,
        /// The key or the variable.
        key: String,
        /// What is wrong, and what is right.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Syntax { origin, error } => write!(f, "{origin}: {error}"),
            Self::Unknown {
                origin,
                key,
                suggestion,
            } => {
                write!(f, "{origin}: there is no setting `{key}`")?;
                match suggestion {
                    Some(meant) => write!(f, "; did you mean `{meant}`?"),
                    None => {
                        let is_variable = origin == ENVIRONMENT;
                        let name = |option: &ConfigOption| match is_variable {
                            true => option.variable(),
                            false => option.key.to_owned(),
                        };
                        let names: Vec<_> = OPTIONS.iter().map(name).collect();
                        write!(f, "; there are {}", names.join(", "))
                    }
                }
            }
            Self::Value { origin, key, reason } => write!(f, "{origin}: `{key}`: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::Syntax { error, .. } => Some(error),
            Self::Unknown { .. } | Self::Value { .. } => None,
        }
    }
}

impl WorkerConfig {
    /// Settings from the environment and, where it has none, from a file; the file must exist when one is named.
    ///
    /// # Errors
    /// Either cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let environment = Self::from_env()?;
        match file {
            Some(path) => Ok(environment.or(Self::from_file(path)?)),
            None => Ok(environment),
        }
    }

    /// Settings from a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or has an unknown key or a value of another form.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Settings from TOML text.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// use task_retry::engine::WorkerConfig;
    ///
    /// let config = WorkerConfig::from_toml("lease = \"30s\"\nqueues = [\"mail\"]\n")?;
    /// assert_eq!(config.lease, Some(std::time::Duration::from_secs(30)));
    /// let error = WorkerConfig::from_toml("leese = \"30s\"").unwrap_err();
    /// assert!(error.to_string().contains("did you mean `lease`?"));
    /// # Ok::<(), task_retry::engine::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// It is no TOML, or has an unknown key or a value of another form.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text, "the settings")
    }

    fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error| ConfigError::Syntax {
            origin: origin.to_owned(),
            error,
        })?;
        let mut config = Self::default();
        for (key, value) in table {
            let option = known(&key).ok_or_else(|| ConfigError::Unknown {
                origin: origin.to_owned(),
                suggestion: similar(&key).map(|option| option.key.to_owned()),
                key: key.clone(),
            })?;
            option
                .read(&mut config, value, origin, &key)
                .map_err(|reason| ConfigError::Value {
                    origin: origin.to_owned(),
                    key,
                    reason,
                })?;
        }
        Ok(config)
    }

    /// Settings from the process's environment: the variables that begin with `TASK_RETRY_WORKER_`.
    ///
    /// # Errors
    /// Such a variable names no setting, or its value cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(std::env::vars_os())
    }

    /// As [`from_env`](Self::from_env), with variables of one's own; others than a worker's are passed over, except those that
    /// differ from one of them by two letters, or by their capitals.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(
        vars: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for (name, value) in vars {
            let name = name.into().to_string_lossy().into_owned();
            let unknown = |meant: Option<&ConfigOption>| ConfigError::Unknown {
                origin: ENVIRONMENT.to_owned(),
                suggestion: meant.map(ConfigOption::variable),
                key: name.clone(),
            };
            let Some(key) = name.strip_prefix(PREFIX) else {
                match misspelt(&name) {
                    Some(meant) => return Err(unknown(Some(meant))),
                    None => continue,
                }
            };
            // As the variables are documented: in capitals.
            let option = OPTIONS.iter().find(|option| option.variable() == name);
            let option = option.ok_or_else(|| unknown(similar(key)))?;
            let value = value.into().into_string();
            let value = value.map_err(|_| "it is not UTF-8".to_owned());
            let read = value.and_then(|value| option.place.value(&value));
            read.and_then(|value| option.read(&mut config, value, ENVIRONMENT, &name))
                .map_err(|reason| ConfigError::Value {
                    origin: ENVIRONMENT.to_owned(),
                    key: name,
                    reason,
                })?;
        }
        Ok(config)
    }
}

impl ConfigOption {
    /// Puts the value in its place, and notes where it comes from.
    fn read(&self, config: &mut WorkerConfig, value: Value, source: &str, given: &str) -> Result<(), String> {
        if let (Place::Numbers(_), Value::Table(table)) = (self.place, &value) {
            for name in table.keys() {
                config.origins.note(limit_of(name), source, given);
            }
        }
        config.origins.note(self.key.to_owned(), source, given);
        self.place.set(config, value)
    }
}

fn known(key: &str) -> Option<&'static ConfigOption> {
    OPTIONS.iter().find(|option| option.key == key)
}

/// The setting that a variable was meant for that does not begin as a worker's do: one whose variable differs by two
/// letters at most, or by its capitals. Another program's variable does not come as near.
fn misspelt(name: &str) -> Option<&'static ConfigOption> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let is_near = |option: &&ConfigOption| strsim::osa_distance(&name, &option.variable()) <= 2;
    OPTIONS.iter().find(is_near)
}

/// The setting that was most likely meant: the nearest, if at most a third of its letters differ.
fn similar(key: &str) -> Option<&'static ConfigOption> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let distance = |option: &ConfigOption| strsim::osa_distance(&key, option.key);
    let nearest = OPTIONS.iter().min_by_key(|option| distance(option))?;
    (distance(nearest) * 3 <= nearest.key.len().max(6)).then_some(nearest)
}

impl Place {
    /// The text of a variable as the value that a file would have.
    fn value(self, text: &str) -> Result<Value, String> {
        let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let number = |text: &str| {
            let number = text.trim().parse::<u32>();
            number
                .map(|number| Value::Integer(number.into()))
                .map_err(|_| format!("{text:?} is no whole number from 0 to {}", u32::MAX))
        };
        Ok(match self {
            Self::Text(_) | Self::Span(_) => Value::String(text.to_owned()),
            Self::Texts(_) => Value::Array(parts().map(|part| Value::String(part.to_owned())).collect()),
            Self::Number(_) => number(text)?,
            Self::Numbers(_) => {
                let pair = |part: &str| {
                    let pair = part.split_once('=');
                    let (name, value) =
                        pair.ok_or_else(|| format!("{part:?} is not written as name=number"))?;
                    Ok((name.trim().to_owned(), number(value)?))
                };
                Value::Table(parts().map(pair).collect::<Result<_, String>>()?)
            }
        })
    }

    fn set(self, config: &mut WorkerConfig, value: Value) -> Result<(), String> {
        match (self, value) {
            (Self::Text(place), Value::String(text)) => *place(config) = Some(text),
            (Self::Span(place), Value::String(text)) => *place(config) = Some(span::parse(&text)?),
            (Self::Number(place), value) => *place(config) = Some(number(&value)?),
            (Self::Texts(place), Value::Array(values)) => {
                let texts = values.into_iter().map(|value| match value {
                    Value::String(text) => Ok(text),
                    other => Err(format!(
                        "a text is expected in the list, not {}",
                        other.type_str()
                    )),
                });
                *place(config) = Some(texts.collect::<Result<_, _>>()?);
            }
            (Self::Numbers(place), Value::Table(table)) => {
                for (name, value) in table {
                    let value = number(&value).map_err(|reason| format!("{name}: {reason}"))?;
                    place(config).insert(name, value);
                }
            }
            (place, other) => {
                return Err(format!(
                    "{} is expected, not {}",
                    place.expected(),
                    other.type_str()
                ));
            }
        }
        Ok(())
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Span(_) => "a duration with its unit such as \"15s\"",
            Self::Number(_) => "a whole number",
            Self::Texts(_) => "a list of texts",
            Self::Numbers(_) => "a table of numbers",
        }
    }
}

fn number(value: &Value) -> Result<usize, String> {
    let given = value.as_integer();
    let number = given.and_then(|number| usize::try_from(number).ok());
    let told = || given.map_or_else(|| value.type_str().to_owned(), |number| number.to_string());
    number.ok_or_else(|| format!("a whole number from 0 on is expected, not {}", told()))
}
