//! The component's exports.

use serde::Deserialize;
use tamiz_sdk::bindings::exports::tamiz::scanner::plugin::Guest;
use tamiz_sdk::bindings::tamiz::scanner::host::{self, Input};
use tamiz_sdk::model::{
    Completeness, ConvertError, Coverage, Description, Format, LogLevel, Outcome, PlanError, ScanRequest,
    ToolRun,
};

use crate::{deeds, network, rows};

/// What it wants. A test blanks these very bytes, to have a component that declares nothing.
const WANTED: &str = "network,clock,randomness";

/// Tests are small.
const INPUT_BYTES_MAX: u32 = 64 * 1024;

/// What `convert` is to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Deed {
    /// Connects to each `address port` of its input's lines, sends a word and reads one.
    Connect,
    /// Connects to the first line's address and reads until something comes.
    Wait,
    /// Tries everything else of sockets: listening, UDP, names.
    OtherSockets,
    /// Opens sockets until it is refused.
    ManySockets,
    /// Tells progress, then sleeps for an hour.
    Sleep,
    /// Asks for the time, twice.
    Clock,
    /// Asks for bytes.
    Random,
    /// Looks for folders, variables, arguments and a standard input.
    Surroundings,
    /// Writes lines to standard output and error.
    Print,
    /// Writes more lines than are logged, then sleeps for an hour.
    Shout,
    /// Ends the program.
    Exit,
    /// Logs what its request says.
    Request,
    /// Reads its input's records.
    Records(rows::Wish),
}

struct Reach;

impl Guest for Reach {
    fn describe() -> Description {
        let wanted = WANTED.split(',').map(str::trim).filter(|word| !word.is_empty());
        Description {
            name: "reach".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "reach".to_owned(),
            formats: vec![Format {
                name: "addresses".to_owned(),
                tools: Vec::new(),
            }],
            options_schema: "{}".to_owned(),
            capabilities: wanted.map(str::to_owned).collect(),
        }
    }

    fn plan(_: ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        Ok(Vec::new())
    }

    fn convert(inputs: Vec<Input>, request: ScanRequest) -> Result<Outcome, ConvertError> {
        let deed: Deed = serde_json::from_str(&request.options)
            .map_err(|error| ConvertError::BadOptions(error.to_string()))?;
        let Some(input) = inputs.into_iter().next() else {
            return Err(ConvertError::Unrecognized("no input".to_owned()));
        };
        match deed {
            Deed::Connect => text(&input).lines().for_each(|line| say(&network::connect(line))),
            Deed::Wait => say(&network::wait(text(&input).trim())),
            Deed::OtherSockets => network::others(say),
            Deed::ManySockets => say(&network::many().to_string()),
            Deed::Sleep => {
                host::progress(0, None);
                deeds::sleep();
            }
            Deed::Clock => deeds::clock(say),
            Deed::Random => deeds::random(say),
            Deed::Surroundings => deeds::surroundings(say),
            Deed::Print => deeds::print(),
            Deed::Shout => {
                deeds::shout();
                deeds::sleep();
            }
            Deed::Exit => wasip2::cli::exit::exit(Err(())),
            Deed::Request => {
                say(&format!("{} {}", request.target_kind, request.target));
                request.addresses.iter().for_each(|address| say(address));
            }
            Deed::Records(wish) => rows::read(input, wish, say),
        }
        Ok(Outcome {
            completeness: Completeness::Complete,
            coverage: Coverage::Whole,
            format: "addresses".to_owned(),
            tool: None,
            tool_version: None,
            records: 0,
            findings: 0,
            skipped: 0,
        })
    }
}

fn say(line: &str) {
    host::log(LogLevel::Info, line);
}

fn text(input: &Input) -> String {
    let bytes = input.read(INPUT_BYTES_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

tamiz_sdk::bindings::export!(Reach with_types_in tamiz_sdk::bindings);
