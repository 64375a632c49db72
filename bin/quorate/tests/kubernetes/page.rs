//! The page itself.

/// What users read.
pub const PAGE: &str = include_str!("../../../../docs/kubernetes.md");

/// The commands of one section, in their order.
pub fn commands(section: &str) -> Vec<String> {
    let after =
        PAGE.split(&format!("\n## {section}\n")).nth(1).unwrap_or_else(|| panic!("no section {section}"));
    let text = after.split("\n## ").next().expect("there is always one part");
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.filter_map(|block| block.strip_prefix("text\n")).flat_map(str::lines);
    let commands: Vec<_> = lines.map(str::to_owned).collect();
    assert!(!commands.is_empty(), "{section} has no commands");
    commands
}
