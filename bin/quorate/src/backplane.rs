//! How the gateway reaches others than those of its cluster, as `quorate serve` puts it together.

use crate::failure::Failure;
use quorate_backplane::{kafka, redis};
use quorate_gateway::backplane::Detour;
use quorate_node::config::{Config, GatewayBackplane, RedisAt};
use std::{fs, path::Path};

/// How far the gateway has read its topic, in the data folder.
const OFFSETS: &str = "gateway-kafka.json";
/// Longest password.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// `None`: the cluster's own way.
pub fn detour(config: &Config) -> Result<Option<Detour>, Failure> {
    Ok(match &config.backplane {
        GatewayBackplane::Direct => None,
        GatewayBackplane::Redis(at) => Some(redis::detour(server(at)?)),
        GatewayBackplane::Kafka { brokers, presence } => Some(kafka::detour(kafka::Settings {
            brokers: brokers.clone(),
            offsets: config.data_dir.join(OFFSETS),
            presence: presence.as_ref().map(server).transpose()?,
        })),
    })
}

fn server(at: &RedisAt) -> Result<redis::Server, Failure> {
    let password = at.password_file.as_deref().map(password).transpose()?;
    Ok(redis::Server { address: at.address.clone(), password })
}

/// The first line, so that an editor's newline is no part of it.
fn password(file: &Path) -> Result<String, Failure> {
    let wrong = |why: String| {
        let allowed = format!("a file whose first line is 1 to {PASSWORD_BYTES_MAX} bytes of text");
        Failure::Usage(format!("--gateway-redis-password-file {}: {why}; allowed: {allowed}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    match text.lines().next().unwrap_or_default() {
        "" => Err(wrong("it is empty".into())),
        line if line.len() > PASSWORD_BYTES_MAX => Err(wrong(format!("{} bytes", line.len()))),
        line => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_no_error_shows_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        fs::write(&file, "open sesame\n").expect("ours");
        assert_eq!(password(&file).ok().as_deref(), Some("open sesame"));
        for bad in [String::new(), "\nsecond".into(), "x".repeat(PASSWORD_BYTES_MAX + 1)] {
            fs::write(&file, &bad).expect("ours");
            let Err(Failure::Usage(words)) = password(&file) else { panic!("{} bytes pass", bad.len()) };
            assert!(words.contains("--gateway-redis-password-file") && !words.contains("xx"), "{words}");
        }
        assert!(password(&folder.path().join("none")).is_err());
    }
}
