//! The list of services in the file.

use super::{
    file::{Reader, Section},
    service::{HEALTH_PATH, How, Place, Service, usual_port},
};
use quorate_model::{Address, ServiceName, limit};
use quorate_node::config::{Line, Wrong, Yaml};
use std::collections::BTreeMap;

/// `None`: the file has no list, or a wrong one.
pub fn read(reader: &mut Reader) -> Option<Vec<Service>> {
    let (place, items) = reader.items("services")?;
    if items.is_empty() || items.len() > limit::SERVICES_PER_WORKER_MAX {
        let allowed = format!(
            "1 to {} services; the usual ones where there is no such key",
            limit::SERVICES_PER_WORKER_MAX
        );
        reader.at(place, Wrong::new(format!("has {} items", items.len()), allowed));
        return None;
    }
    let mut services = Vec::new();
    let mut lines = BTreeMap::new();
    for (nth, item) in items.into_iter().enumerate() {
        let line = item.line;
        let Some(service) = service(reader, nth, item) else { continue };
        if let Some(first) = lines.insert(service.name.clone(), line) {
            let section = Section::new(format!("services[{nth}]."), line, Vec::new());
            let problem = format!("`{}` is on line {first} already", service.name);
            reader.about(&section, "name", Wrong::new(problem, "each service once"));
        }
        services.push(service);
    }
    Some(services)
}

/// A name alone is one of the usual services.
fn service(reader: &mut Reader, nth: usize, item: Line<Yaml>) -> Option<Service> {
    let above = format!("services[{nth}].");
    let mut section = match item.value {
        Yaml::Map(entries) => Section::new(above, item.line, entries),
        Yaml::Scalar(name) => {
            let entry =
                (Line { line: item.line, column: item.column, value: "name".to_owned() }, Yaml::Scalar(name));
            Section::new(above, item.line, vec![entry])
        }
        Yaml::Null | Yaml::List(_) => {
            let section = Section::new(above, item.line, Vec::new());
            reader.about(&section, "name", Wrong::new("is missing", "a service"));
            return None;
        }
    };
    let name = reader.required(&mut section, "name", "the service's name", |text| {
        Ok(ServiceName::parse_offered(text)?.to_string())
    });
    let version = reader.inner(&mut section, "version", super::config::short_text);
    let place = place(reader, &mut section, name.as_deref());
    let how = how(reader, &mut section);
    reader.close(section);
    Some(Service { name: name?, version, place: place?, how: how? })
}

fn place(reader: &mut Reader, section: &mut Section, name: Option<&str>) -> Option<Place> {
    let [url_there, container_there, port_there] = ["url", "container", "port"].map(|key| section.has(key));
    let url = reader.inner(section, "url", |text| Ok(Address::parse(text)?.to_string()));
    let container = reader.inner(section, "container", super::config::host);
    let port = reader.inner(section, "port", port);
    if url_there && (container_there || port_there) {
        let other = if port_there { "port" } else { "container" };
        reader.about(section, other, Wrong::new("stands beside url", "either url, or port and container"));
        return None;
    }
    if url_there {
        return url.map(Place::Url);
    }
    let port = match (port, port_there) {
        (port, true) => port?,
        (_, false) => match (name, name.and_then(usual_port)) {
            (_, Some(port)) => port,
            // What is wrong is said already.
            (None, None) => return None,
            (Some(name), None) => {
                let problem = format!("is missing, and `{name}` has no usual one");
                reader.about(section, "port", Wrong::new(problem, "1 to 65535, or a url"));
                return None;
            }
        },
    };
    match (container, container_there) {
        (Some(name), _) => Some(Place::Container { name, port }),
        (None, true) => None,
        (None, false) => Some(Place::Here { port }),
    }
}

fn how(reader: &mut Reader, section: &mut Section) -> Option<How> {
    let path_there = section.has("health_path");
    let tcp = reader.inner(section, "check", |text| match text {
        "tcp" => Ok(true),
        "http" => Ok(false),
        _ => Err(Wrong::value(text, "tcp or http")),
    });
    let health_path = reader.inner(section, "health_path", health_path);
    match (tcp, path_there) {
        (Some(true), true) => {
            let allowed = "a path only with check: http";
            reader.about(section, "health_path", Wrong::new("is of no use with check: tcp", allowed));
            None
        }
        (Some(true), false) => Some(How::Tcp),
        (Some(false) | None, true) => Some(How::Http { health_path: health_path? }),
        (Some(false) | None, false) => Some(How::Http { health_path: HEALTH_PATH.into() }),
    }
}

fn port(text: &str) -> Result<u16, Wrong> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| Wrong::value(text, "1 to 65535"))
}

fn health_path(text: &str) -> Result<String, Wrong> {
    let plain =
        text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
    if plain { Ok(text.into()) } else { Err(Wrong::value(text, "a path such as /health")) }
}
