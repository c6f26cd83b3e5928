//! The measures, by name and in their order.

mod completion;
mod output;
mod pages;
mod pueue;
mod restart;
mod sleeping;
mod throughput;

use std::pin::Pin;

use crate::Bench;
use crate::report::Section;

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Section>> + 'a>>;

pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench) -> Running<'a>,
}

pub(crate) const MEASURES: &[Measure] = &[
    Measure {
        name: "throughput",
        what: "commands that start and finish, a second",
        run: |bench| Box::pin(throughput::run(bench)),
    },
    Measure {
        name: "completion",
        what: "from a process's end to the client's queue",
        run: |bench| Box::pin(completion::run(bench)),
    },
    Measure { name: "output", what: "what a command prints", run: |bench| Box::pin(output::run(bench)) },
    Measure {
        name: "sleeping",
        what: "many commands that do nothing",
        run: |bench| Box::pin(sleeping::run(bench)),
    },
    Measure { name: "pages", what: "many pages at once", run: |bench| Box::pin(pages::run(bench)) },
    Measure {
        name: "restart",
        what: "a start over a long history",
        run: |bench| Box::pin(restart::run(bench)),
    },
];
