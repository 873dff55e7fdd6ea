//! The part of `tamiz plugin` that is about the registry: installing, granting, choosing, limiting.

use clap::Subcommand;

use super::super::{CliError, block_on, limits};
use super::{choose, grant, install, limit, list, switch};
use crate::config::Config;

/// What an operator does with plugins.
#[derive(Debug, Subcommand)]
pub enum InstalledCommand {
    /// Install a component, for everybody or for one tenant
    #[command(after_help = "\
Installing changes nothing where something ran before: a newcomer is asked last, when no other
plugin of its scan type reads the input. --choose, or `tamiz plugin choose`, puts it first.

Examples:
  tamiz plugin install clippy.wasm
  tamiz plugin install registry.example/team/clippy:1.0.0 --verify-key acme.pub
  tamiz plugin install probe.wasm --tenant acme --grant network --choose")]
    Install(install::InstallArgs),
    /// List the installed plugins
    #[command(after_help = "\
What a plugin wants and was not granted stands in brackets.

Examples:
  tamiz plugin list
  tamiz plugin list --all
  tamiz plugin list --folder --set plugin_dir=/usr/lib/tamiz/plugins")]
    List(list::ListArgs),
    /// Let a plugin use what it wants beyond conversion
    #[command(after_help = "\
Examples:
  tamiz plugin grant probe@1.0.0 network
  tamiz plugin grant 3f2a9c01 clock")]
    Grant(grant::GrantArgs),
    /// Take a grant back
    #[command(after_help = "\
Examples:
  tamiz plugin revoke probe@1.0.0 network")]
    Revoke(grant::GrantArgs),
    /// Say which plugin serves a scan type
    #[command(after_help = "\
Tasks that were asked for before stay with the plugins that they were planned with.

Examples:
  tamiz plugin choose codeaudit clippy@1.1.0
  tamiz plugin choose codeaudit clippy@1.0.0 --tenant acme
  tamiz plugin choose codeaudit --default")]
    Choose(choose::ChooseArgs),
    /// Say what a plugin may use up
    #[command(after_help = format!("{}\n\n\
Examples:
  tamiz plugin limit clippy
  tamiz plugin limit clippy memory-bytes=128MiB deadline-seconds=1m instances-max=2
  tamiz plugin limit clippy memory-bytes=default", limits::HELP))]
    Limit(limit::LimitArgs),
    /// Let a plugin serve again; of two versions, an older one as well
    #[command(after_help = "\
Examples:
  tamiz plugin enable clippy@1.0.0")]
    Enable(switch::SwitchArgs),
    /// Switch a plugin off: nothing runs it any more
    #[command(after_help = "\
Examples:
  tamiz plugin disable clippy@1.1.0")]
    Disable(switch::SwitchArgs),
}

pub(super) fn run(command: InstalledCommand, config: &Config) -> Result<(), CliError> {
    match command {
        InstalledCommand::Install(args) => block_on(install::run(args, config)),
        InstalledCommand::List(args) => block_on(list::run(args, config)),
        InstalledCommand::Grant(args) => block_on(grant::grant(args, config)),
        InstalledCommand::Revoke(args) => block_on(grant::revoke(args, config)),
        InstalledCommand::Choose(args) => block_on(choose::run(args, config)),
        InstalledCommand::Limit(args) => block_on(limit::run(args, config)),
        InstalledCommand::Enable(args) => block_on(switch::enable(args, config)),
        InstalledCommand::Disable(args) => block_on(switch::disable(args, config)),
    }
}
