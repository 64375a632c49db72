//! `quorate apply`

use super::{
    block_on,
    declare::{self, Change},
    document::Documents,
    operator,
};
use crate::{args::ApplyArgs, failure::Failure};
use quorate_client::operator::Others;

pub fn run(args: &ApplyArgs) -> Result<(), Failure> {
    let operator = operator(&args.remote)?;
    let documents = Documents::read(&args.files)?;
    if args.prune && !args.allow_empty && !documents.names_what_can_go() {
        let all = "the files name no route, no sandbox and no policy that is to stand: with --prune all of them would go";
        return Err(Failure::Usage(format!("{all}; allowed: --allow-empty, if that is meant")));
    }
    let (documents, others) = match args.prune {
        true => (documents.without_those_that_go(), Others::Go),
        false => (documents, Others::Stay),
    };
    let change = Change::Documents { documents, others };
    block_on(declare::carry_out(&operator, &change, &args.how, args.remote.output))
}
