//! The overlay that the page tells its reader to write, on each of the shipped ones that the page names for it.
//!
//! It is what users apply, and nothing of ours would notice if it did not render, or lost the image on the way.

use std::fs;
use std::path::Path;

use super::document::{Rendered, title};
use super::tools::Tools;
use crate::workspace::{Failure, Workspace};

const PAGE: &str = "docs/kubernetes.md";
const OURS: &str = "deploy/kubernetes/";
/// The one that the page shows, those that the reader writes in its place, and the pods of each.
const OVERLAYS: [(&str, u64); 3] = [("production", 3), ("five", 5), ("recover", 1)];

/// What is wrong with the overlay of the page.
pub fn check(workspace: &Workspace, tools: &Tools) -> Result<Vec<String>, Failure> {
    let page = workspace.read(PAGE)?;
    let Some(overlay) = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()) else {
        return Ok(vec![format!("{PAGE}: it shows no overlay")]);
    };
    let folder = std::env::temp_dir().join(format!("quorate-overlay-{}", std::process::id()));
    let found = written(workspace, &folder).and_then(|()| {
        let mut found = Vec::new();
        for (name, pods) in OVERLAYS {
            let text = overlay.replace("overlays/production", &format!("overlays/{name}"));
            write(&folder.join("my-quorate/kustomization.yaml"), &text)?;
            let documents = tools.kustomize(&folder.join("my-quorate"))?;
            found.extend(wrong(&documents, pods).into_iter().map(|what| format!("{PAGE}: {name}: {what}")));
        }
        Ok(found)
    });
    // Left behind, it harms nobody.
    let _ = fs::remove_dir_all(&folder);
    found
}

/// A copy of our manifests, where a folder beside `deploy` disturbs nobody.
fn written(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    for path in workspace.files()?.iter().filter(|path| path.starts_with(OURS)) {
        write(&folder.join(path), &workspace.read(path)?)?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| Failure::Check(format!("{}: {error}", file.display())))
}

/// The image, the storage class and the number of pods are the reader's, whatever overlay is below.
fn wrong(documents: &Rendered, pods: u64) -> Vec<String> {
    let mut found = Vec::new();
    for pod in documents.pods() {
        for container in pod.containers() {
            let image = container["image"].as_str().unwrap_or_default();
            if !image.starts_with("registry.example.com/quorate:") {
                found.push(format!("{}: the image is `{image}`, not the reader's", pod.owner));
            }
        }
    }
    let sets: Vec<_> = documents.of_kind("StatefulSet").collect();
    if sets.is_empty() {
        found.push("there is no StatefulSet".to_owned());
    }
    for set in sets {
        if set["spec"]["replicas"] != pods {
            found.push(format!("{}: replicas are {}, not {pods}", title(set), set["spec"]["replicas"]));
        }
        let class = set.pointer("/spec/volumeClaimTemplates/0/spec/storageClassName");
        if class.is_none() {
            found.push(format!("{}: it has lost the storage class", title(set)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_that_changes_nothing_is_found() {
        let base = include_str!("../../golden/kubernetes-base.json");
        let base = Rendered(serde_json::from_str(base).expect("JSON"));
        let found = wrong(&base, 5).join("\n");
        for words in ["not the reader's", "replicas are 3, not 5", "lost the storage class"] {
            assert!(found.contains(words), "{words}: {found}");
        }
        assert_eq!(wrong(&Rendered(Vec::new()), 3), ["there is no StatefulSet"]);
    }
}
