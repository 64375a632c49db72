//! `quorate config`

use super::{block_on, operator};
use crate::{
    args::{ConfigArgs, Format},
    failure::Failure,
    output::{Rows, print, say, show, yaml},
};

pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        let told = operator.config().await?;
        match format {
            // A document has too much in it for a table.
            Format::Table => print(&yaml(&told.json)?)?,
            Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([]))?,
        }
        if let Some(changed) = told.value {
            say(&format!("last changed at index {changed}"));
        }
        Ok(())
    })
}
