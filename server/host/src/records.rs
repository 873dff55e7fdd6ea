//! Records of an input, told apart and picked apart for a guest.

use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::v1::host::IoError;
use crate::bindings::v1::records as wit;
use crate::host_impl::OpenInput;
use crate::run::RunState;

/// An input while its records are read.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenReader {}

impl wit::Host for RunState {
    fn open(
        &mut self,
        _input: Resource<OpenInput>,
        _layout: wit::Layout,
        _fields: Vec<String>,
    ) -> Result<core::result::Result<Resource<OpenReader>, wit::OpenError>> {
        Ok(Err(wit::OpenError::Io(IoError::Unavailable)))
    }
}

impl wit::HostReader for RunState {
    fn next(
        &mut self,
        _this: Resource<OpenReader>,
        _max: u32,
    ) -> Result<core::result::Result<Vec<wit::Row>, IoError>> {
        Ok(Err(IoError::Unavailable))
    }
    fn ending(&mut self, _this: Resource<OpenReader>) -> Result<Option<wit::Ending>> {
        Ok(None)
    }
    fn release(&mut self, _this: Resource<OpenReader>) -> Result<Resource<OpenInput>> {
        Err(wasmtime::Error::msg("not here yet"))
    }
    fn drop(&mut self, this: Resource<OpenReader>) -> Result<()> {
        self.resources.delete(this)?;
        Ok(())
    }
}
