//! The look into another module's exports, against the crate `object`: modules as a linker makes them, and the
//! same with bytes changed.

use arbitrary::{Arbitrary, Unstructured};
use object::read::pe::ExportTable;
use tlsgate_core::exports::{Exports, HEADER, exports};

/// Bytes of an export directory's own table.
const DIRECTORY: usize = 40;

#[derive(Arbitrary, Debug)]
struct Module {
    pe: u16,
    start: u32,
    /// Each an export's name, and where its function is.
    names: Vec<(Vec<u8>, Where)>,
    /// Bytes of the directory that are cut off.
    cut: u8,
    /// Changes of the first page and of the directory: where, and to what.
    in_header: Vec<(u16, u8)>,
    in_directory: Vec<(u16, u8)>,
    wanted: u8,
}

#[derive(Arbitrary, Debug)]
enum Where {
    At(u16),
    /// Another module has it: the address is that of its name, in the directory.
    Forwarded(u8),
    Any(u32),
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(mut module) = bytes.arbitrary::<Module>() else {
        return;
    };
    module.names.truncate(64);
    for (name, _) in &mut module.names {
        name.retain(|byte| *byte != 0);
    }
    module.start = module.start % (1 << 30) + 1;
    let index = usize::from(module.wanted).checked_rem(module.names.len());
    let wanted = index.map_or(b"SspiReinitAsyncContext".to_vec(), |index| {
        module.names[index].0.clone()
    });
    let directory = module.directory();
    let Some(found) = module.looked_up(directory.len()) else {
        return;
    };
    let address = found.find(&directory, &wanted);
    if let Some(address) = address {
        assert!(address < found.image && !found.directory.contains(&address));
    }
    if let Ok(due) = theirs(&found, &directory, &wanted) {
        assert_eq!(address, due, "{}", String::from_utf8_lossy(&wanted));
    }
}

/// What `object` finds: an error where it finds the directory broken.
fn theirs(found: &Exports, directory: &[u8], wanted: &[u8]) -> object::Result<Option<u32>> {
    let table = ExportTable::parse(directory, found.directory.start)?;
    let named = |pointer| {
        table
            .name_from_pointer(pointer)
            .is_ok_and(|name| name == wanted)
    };
    let Some((_, index)) = table.name_iter().find(|(pointer, _)| named(*pointer)) else {
        return Ok(None);
    };
    let address = table.address_by_index(index.into())?;
    // An address outside the image is none.
    let is_inside = address < found.image && !found.directory.contains(&address);
    Ok(is_inside.then_some(address))
}

impl Module {
    /// What the driver finds in the first page.
    fn looked_up(&self, directory: usize) -> Option<Exports> {
        let mut header = [0; HEADER];
        let pe = usize::from(self.pe) % (HEADER + 8);
        let size = u32::try_from(directory).expect("a short directory");
        let image = 1 << 31;
        let fields = [
            (0x3C, &u32::try_from(pe).expect("short").to_le_bytes()[..]),
            (pe, b"PE\0\0"),
            (pe + 24, &0x020B_u16.to_le_bytes()),
            (pe + 24 + 56, &u32::to_le_bytes(image)),
            (pe + 24 + 112, &self.start.to_le_bytes()),
            (pe + 24 + 116, &size.to_le_bytes()),
        ];
        let mut fits = true;
        for (at, bytes) in fields {
            match header.get_mut(at..at + bytes.len()) {
                Some(place) => place.copy_from_slice(bytes),
                None => fits = false,
            }
        }
        for (at, byte) in &self.in_header {
            header[usize::from(*at) % HEADER] = *byte;
        }
        let found = exports(&header);
        if let Some(found) = &found {
            let length = found.directory.end - found.directory.start;
            assert!(found.directory.start != 0 && length <= 1 << 20);
            assert!(found.directory.start <= found.directory.end);
            assert!(found.directory.end <= found.image);
        }
        if self.in_header.is_empty() {
            let directory = self.start..self.start + size;
            // In front of the field that names it, the PE header cannot be.
            if fits && pe >= 0x40 {
                assert_eq!(found, Some(Exports { directory, image }));
            } else if !fits {
                assert_eq!(found, None);
            }
        }
        found
    }

    /// The export directory: its table, then addresses, names' addresses, ordinals and names.
    fn directory(&self) -> Vec<u8> {
        let count = self.names.len();
        let address = |offset: usize| self.start + u32::try_from(offset).expect("short");
        let (functions, names) = (DIRECTORY, DIRECTORY + 4 * count);
        let ordinals = names + 4 * count;
        let mut texts = Vec::new();
        let mut tables = [Vec::new(), Vec::new(), Vec::new()];
        for (index, (name, place)) in self.names.iter().enumerate() {
            let function = match *place {
                Where::At(place) => u32::from(place),
                Where::Forwarded(place) => self.start + u32::from(place),
                Where::Any(place) => place,
            };
            tables[0].extend(function.to_le_bytes());
            tables[1].extend(address(ordinals + 2 * count + texts.len()).to_le_bytes());
            tables[2].extend(u16::try_from(index).expect("few").to_le_bytes());
            texts.extend(name);
            texts.push(0);
        }
        let number = u32::try_from(count).expect("few");
        let head = [0, 0, 0, 0, 1, number, number]
            .into_iter()
            .chain([functions, names, ordinals].map(address));
        let mut all: Vec<u8> = head.flat_map(u32::to_le_bytes).collect();
        all.extend(tables.concat());
        all.extend(texts);
        all.truncate(all.len() - usize::from(self.cut).min(all.len()) / 4);
        for (at, byte) in &self.in_directory {
            if let Some(place) = usize::from(*at).checked_rem(all.len()) {
                all[place] = *byte;
            }
        }
        all
    }
}
