//! `quorate apply`

use super::{block_on, document::Document, operator};
use crate::{
    args::{ApplyArgs, Format},
    failure::Failure,
    output::{Rows, counted, print, printable, say, show},
};
use quorate_client::operator::{Carry, Others};
use serde_json::Value;

pub fn run(args: &ApplyArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    let document = Document::read(&args.file)?;
    let others = if args.replace { Others::Go } else { Others::Stay };
    let carry = if args.dry_run { Carry::Check } else { Carry::Out };
    block_on(async {
        let told = operator.declare(&document.value, others, carry, args.if_match).await;
        let told = told.map_err(|error| document.failure(error))?;
        match format {
            Format::Table => {
                let lines = told.value.changes.iter().map(|one| {
                    format!("{} {} {}\n", printable(&one.kind), printable(&one.name), printable(&one.change))
                });
                print(&lines.collect::<String>())?;
            }
            Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([]))?,
        }
        let count = counted(told.value.changes.len() as u64, "change");
        let index = told.json.get("index").and_then(Value::as_u64).unwrap_or_default();
        say(&match carry {
            Carry::Out => format!("{count} at index {index}"),
            Carry::Check => format!("{count} would be made; nothing was changed"),
        });
        Ok(())
    })
}
