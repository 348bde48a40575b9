//! Checks for a program's own tests: payloads that were stored once still decode today.

use serde_json::Value;

use super::TaskPayload;
use super::decode::decode_version;
use crate::payload::Payload;

/// Checks that stored samples still decode as `P`: one or more JSON values of version 1, the version of payloads that
/// were stored before [`TaskPayload::VERSION`] was raised.
///
/// Keep a sample of every form that was ever deployed beside the code:
///
/// ```
/// # use retry_core as task_retry;
/// use serde::{Deserialize, Serialize};
/// use task_retry::draft::{TaskPayload, assert_decodes};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     email: String,
///     #[serde(default)] // new: payloads stored before have none
///     language: Option<String>,
/// }
///
/// impl TaskPayload for Welcome {
///     const KIND: &'static str = "welcome";
/// }
///
/// assert_decodes::<Welcome>(r#"{"email": "ada@example.com"}"#); // in a file: include_str!("samples/welcome.json")
/// ```
///
/// # Panics
/// The text is no JSON, has no value, or a value does not decode.
#[track_caller]
pub fn assert_decodes<P: TaskPayload>(samples: &str) {
    assert_decodes_version::<P>(1, samples);
}

/// As [`assert_decodes`], for samples that were stored under a version.
///
/// # Panics
/// As [`assert_decodes`].
#[track_caller]
pub fn assert_decodes_version<P: TaskPayload>(version: u32, samples: &str) {
    for (number, sample) in values::<P>(samples).iter().enumerate() {
        if let Err(error) = decode_version::<P>(&payload(sample), version) {
            panic!(
                "sample {} of {} in version {version}: {error}",
                number + 1,
                P::KIND
            );
        }
    }
}

/// Checks that `P` passes over fields that it does not know: while a newer program that adds one is being deployed, this
/// one meets its payloads. A type with `deny_unknown_fields` does not.
///
/// # Panics
/// The text is no JSON, has no value, or a value does not decode with one more field. Values that are no objects are
/// passed over.
#[track_caller]
pub fn assert_tolerates_new_fields<P: TaskPayload>(samples: &str) {
    for (number, mut sample) in values::<P>(samples).into_iter().enumerate() {
        let Some(fields) = sample.as_object_mut() else {
            continue;
        };
        fields.insert("a_field_of_tomorrow".to_owned(), Value::Null);
        if let Err(error) = decode_version::<P>(&payload(&sample), P::VERSION) {
            panic!(
                "sample {} of {} with one more field: {error}",
                number + 1,
                P::KIND
            );
        }
    }
}

#[track_caller]
fn values<P: TaskPayload>(samples: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(samples).into_iter();
    let values: Vec<Value> = match values.collect() {
        Ok(values) => values,
        Err(error) => panic!("the samples of {} are no JSON: {error}", P::KIND),
    };
    assert!(!values.is_empty(), "there is no sample of {}", P::KIND);
    values
}

fn payload(sample: &Value) -> Payload {
    Payload::from_stored(sample.to_string())
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::draft::{DecodeError, Draft, VERSION_HEADER, decode};
    use crate::headers::Headers;
    use crate::id::TaskId;
    use crate::time::Timestamp;

    /// Version 1 had `name`, version 2 `full_name`, version 3 has both parts.
    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Greet {
        first: String,
        last: String,
    }

    impl TaskPayload for Greet {
        const KIND: &'static str = "greet";
        const VERSION: u32 = 3;

        fn migrate(from: u32, mut payload: Value) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
            let key = if from == 1 { "name" } else { "full_name" };
            let name = payload[key].take();
            let name = name.as_str().ok_or("there is no name")?;
            let (first, last) = name.split_once(' ').ok_or("a name has two parts")?;
            Ok(serde_json::json!({ "first": first, "last": last }))
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {}

    impl TaskPayload for Strict {
        const KIND: &'static str = "strict";
    }

    fn ada() -> Greet {
        let (first, last) = ("Ada".to_owned(), "Lovelace".to_owned());
        Greet { first, last }
    }

    fn stored(version: Option<&str>, json: &str) -> Result<Greet, DecodeError> {
        let mut headers = Headers::new();
        if let Some(version) = version {
            headers.insert(VERSION_HEADER, version).unwrap();
        }
        decode(&Payload::from_stored(json), &headers)
    }

    #[test]
    fn older_versions_migrate_and_newer_ones_wait() {
        assert_eq!(stored(None, r#"{"name":"Ada Lovelace"}"#), Ok(ada()));
        assert_eq!(stored(Some("2"), r#"{"full_name":"Ada Lovelace"}"#), Ok(ada()));
        let now = r#"{"first":"Ada","last":"Lovelace"}"#;
        assert_eq!(stored(Some("3"), now), Ok(ada()));
        assert_eq!(
            stored(Some("4"), now),
            Ok(ada()),
            "a newer one that still decodes"
        );
        let newer = DecodeError::Newer { stored: 4, known: 3 };
        assert_eq!(stored(Some("4"), "{}"), Err(newer));
        for version in ["", "0", "-1", "x"] {
            assert_eq!(stored(Some(version), now), Err(DecodeError::Version));
        }
        let refused = stored(None, r#"{"name":"Ada"}"#).unwrap_err();
        assert!(
            matches!(&refused, DecodeError::Migration { stored: 1, .. }),
            "{refused}"
        );
        assert!(matches!(stored(None, "{"), Err(DecodeError::Undecodable(_))));
    }

    #[test]
    fn a_task_carries_its_version_whatever_options_it_gets() {
        let build = |draft: Draft| draft.build(TaskId::MIN, Timestamp::EPOCH, 0, None).unwrap();
        let plain = build(Draft::of(&ada()));
        let replaced = build(Draft::of(&ada()).options(crate::draft::TaskOptions::new()));
        for task in [plain, replaced] {
            assert_eq!(task.headers.get(VERSION_HEADER), Some("3"));
            assert_eq!(decode(&task.payload, &task.headers), Ok(ada()));
        }
        assert!(
            build(Draft::of(&Strict {})).headers.is_empty(),
            "version 1 costs nothing"
        );
    }

    #[test]
    fn samples_are_checked() {
        assert_decodes::<Greet>("{\"name\":\"Ada Lovelace\"}\n{\"name\":\"A B\"}");
        assert_decodes_version::<Greet>(2, r#"{"full_name":"Ada Lovelace"}"#);
        assert_tolerates_new_fields::<Greet>(r#"{"first":"Ada","last":"Lovelace"}"#);
    }

    #[test]
    #[should_panic(expected = "sample 2 of greet in version 1: the payload of version 1 does not migrate")]
    fn a_sample_that_does_not_decode_is_named() {
        assert_decodes::<Greet>(r#"{"name":"Ada Lovelace"} {"name":"Ada"}"#);
    }

    #[test]
    #[should_panic(expected = "there is no sample of greet")]
    fn an_empty_file_checks_nothing() {
        assert_decodes::<Greet>(" \n");
    }

    #[test]
    #[should_panic(expected = "sample 1 of strict with one more field")]
    fn a_strict_type_is_found() {
        assert_tolerates_new_fields::<Strict>("{}");
    }
}
