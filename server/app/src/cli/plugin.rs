//! `tamiz plugin`: what is installed, what one component says about itself, and publishing it.

mod build;
mod choose;
mod grant;
mod inspect;
mod install;
mod installed;
mod key;
mod limit;
mod list;
mod named;
mod new;
mod package;
mod pull;
mod push;
mod registry_access;
mod run;
mod sign;
mod switch;
mod test;

use clap::Subcommand;

use super::{CliError, ConfigFlags};

/// What can be asked about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// The registry
    #[command(flatten)]
    Installed(installed::InstalledCommand),
    /// Make a project for a plugin of your own
    #[command(after_help = "\
Examples:
  tamiz plugin new mytool --lang python
  tamiz plugin new mytool --lang rust --scan-type web --path ~/src/mytool")]
    New(new::NewArgs),
    /// Build a project's component and check it
    #[command(after_help = "\
Examples:
  tamiz plugin build
  tamiz plugin build ~/src/mytool")]
    Build(build::BuildArgs),
    /// Build a project and convert its cases with the real host
    #[command(after_help = "\
Examples:
  tamiz plugin test
  tamiz plugin test ~/src/mytool --bless")]
    Test(test::TestArgs),
    /// Check a component and print what it is, says about itself and wants
    #[command(after_help = "\
Examples:
  tamiz plugin inspect target/plugins/codeaudit.wasm
  tamiz plugin inspect ~/src/mytool --format json")]
    Inspect(inspect::InspectArgs),
    /// Convert reports on this machine, without a server
    #[command(after_help = "\
Examples:
  tamiz plugin run semgrep.json
  tamiz plugin run nikto.xml --format json
  tamiz plugin run traffic.pcap.gz
  tamiz plugin run report.json --plugin ./hello.wasm --options '{\"strict\":true}'
  tamiz plugin run semgrep.json --source ~/src/shop --format sarif > findings.sarif")]
    Run(run::RunArgs),
    /// Package a plugin as an OCI image layout
    #[command(after_help = "\
Examples:
  tamiz plugin package . -o clippy.tar
  tamiz plugin package target/plugins/codeaudit.wasm -o layout")]
    Package(package::PackageArgs),
    /// Push a plugin to an OCI registry
    #[command(after_help = "\
Examples:
  tamiz plugin push . registry.example/team/clippy:1.0.0 --sign acme.key
  tamiz plugin push clippy.wasm 127.0.0.1:5000/clippy:1.0.0")]
    Push(push::PushArgs),
    /// Pull a component from an OCI registry
    #[command(after_help = "\
Examples:
  tamiz plugin pull registry.example/team/clippy:1.0.0
  tamiz plugin pull registry.example/team/clippy:1.0.0 -o clippy.wasm --verify acme.pub")]
    Pull(pull::PullArgs),
    /// Sign what lies in an OCI registry, or a component's file
    #[command(after_help = "\
Examples:
  tamiz plugin sign registry.example/team/clippy:1.0.0 --key acme.key
  tamiz plugin sign clippy.wasm --key acme.key")]
    Sign(sign::SignArgs),
    /// Check the signature of what lies in an OCI registry, or of a component's file
    #[command(after_help = "\
Examples:
  tamiz plugin verify registry.example/team/clippy:1.0.0 --key acme.pub
  tamiz plugin verify clippy.wasm clippy.wasm.sig --key acme.pub")]
    Verify(sign::VerifyArgs),
    /// Manage the keys that plugins are signed with
    #[command(subcommand)]
    Key(key::KeyCommand),
}

pub(super) fn run(command: PluginCommand, flags: &ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        PluginCommand::Installed(command) => installed::run(command, &config),
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Build(args) => build::run(&args, &config),
        PluginCommand::Test(args) => test::run(&args, &config),
        PluginCommand::Inspect(args) => inspect::run(&args, &config),
        PluginCommand::Run(args) => run::run(&args, &config),
        PluginCommand::Package(args) => package::run(&args, &config),
        PluginCommand::Push(args) => push::run(&args, &config),
        PluginCommand::Pull(args) => pull::run(&args),
        PluginCommand::Sign(args) => sign::sign(&args),
        PluginCommand::Verify(args) => sign::verify(&args),
        PluginCommand::Key(command) => key::run(&command),
    }
}
