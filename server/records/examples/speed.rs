//! How fast records are read and picked: `speed FILE json-array POINTER FIELD...`, `speed FILE json-lines
//! FIELD...`, `speed FILE xml-elements NAME FIELD...`, `speed FILE csv FIELD...`. The speed is by processor time,
//! so that other programs on the machine do not count.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;

use rustix::time::{ClockId, clock_gettime};
use tamiz_records::{Layout, Records, Source};

struct FileSource(File);

impl Source for FileSource {
    type Error = Infallible;
    type Place = (u64, u64);

    fn read(&mut self, max: u32) -> Result<Vec<u8>, Infallible> {
        let mut chunk = Vec::with_capacity(max as usize);
        let read = (&mut self.0).take(u64::from(max)).read_to_end(&mut chunk);
        if read.is_err() {
            chunk.clear();
        }
        Ok(chunk)
    }

    fn rewind(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn place(start: u64, end: u64) -> (u64, u64) {
        (start, end)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("no file")?;
    let layout = match arguments.next().as_deref() {
        Some("json-array") => Layout::JsonArray(arguments.next().ok_or("no pointer")?),
        Some("json-lines") => Layout::JsonLines,
        Some("xml-elements") => Layout::XmlElements(arguments.next().ok_or("no name")?),
        Some("csv") => Layout::Csv {
            delimiter: ',',
            header: true,
        },
        _ => return Err("no layout".into()),
    };
    let fields: Vec<String> = arguments.collect();
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let start = processor_seconds();
    let mut records = Records::open(FileSource(file), &layout, &fields).map_err(|error| error.message)?;
    let (mut rows, mut problems) = (0, 0);
    loop {
        let page = records.next(1_000, 1024 * 1024)?;
        if page.is_empty() {
            break;
        }
        rows += page.len();
        problems += page.iter().filter(|row| row.problem.is_some()).count();
    }
    let seconds = processor_seconds() - start;
    println!(
        "{rows} rows, {problems} problems, {:?}, {:.0} MB/s",
        records.ending(),
        bytes as f64 / seconds / 1e6
    );
    Ok(())
}

fn processor_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
