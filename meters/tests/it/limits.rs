//! Archives that mean harm, and bytes that mean nothing.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use meters::repository::{Options, measure_archive, quietly};
use proptest::prelude::*;

use crate::repository::{gzip, tar_of, zip_of};

#[track_caller]
fn refused(bytes: &[u8], options: &Options, code: &str) {
    let error = measure_archive(bytes, options, &quietly).map(|_| ()).expect_err("it must be refused");
    assert_eq!(error.code(), code, "{error}");
}

/// A tar of one entry with any name, type and link target, which honest writers would not write.
fn raw_tar(name: &[u8], kind: u8, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.as_mut_bytes()[156] = kind;
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// Braces are letters to Git. As alternatives, nested so deep, they would take the whole process along.
#[test]
fn attributes_with_braces_without_end_are_names_like_others() {
    let deep = format!("{}a{} linguist-vendored\n", "{".repeat(200_000), "}".repeat(200_000));
    let deep = format!("{deep}{{a,b}}.rs linguist-vendored\n{}\n", "[\\]{".repeat(1_000));
    let files: &[(&str, &[u8])] =
        &[("a.rs", b"fn a() {}\n"), ("{a,b}.rs", b"fn b() {}\n"), (".gitattributes", deep.as_bytes())];
    let measured = measure_archive(&gzip(&tar_of(files, "t/")), &Options::default(), &quietly).unwrap();
    assert_eq!(measured.measurement.quantities["code_lines"], 1);
    // The one with braces in its name, and the attributes themselves.
    assert_eq!(measured.measurement.evidence["excluded"]["vendored"]["files"], 2);
}

#[test]
fn a_name_without_end_is_refused_in_a_few_words() {
    let name = vec![0xff; 1 << 20];
    let mut bytes = raw_tar(b"././@LongLink", b'L', b"", &name);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(raw_tar(b"a", b'0', b"", b""));
    let error = measure_archive(&bytes, &Options::default(), &quietly).map(|_| ()).expect_err("it is too long");
    assert_eq!(error.code(), "unsafe_archive", "{error}");
    assert!(error.to_string().len() < 2_000);
}

/// What stands before an entry is not taken into memory to find that it is too long: here there is none of it.
#[test]
fn what_is_said_before_an_entry_is_refused_by_its_length() {
    for kind in [b'L', b'K', b'x'] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[156] = kind;
        header.set_size(900 << 20);
        header.set_cksum();
        refused(header.as_bytes(), &Options::default(), "unsafe_archive");
        refused(&gzip(header.as_bytes()), &Options::default(), "unsafe_archive");
    }
}

/// Two readers of one archive must not see different files in it.
#[test]
fn long_names_and_attributes_say_the_same_to_all() {
    let before = |kind: u8, said: &[u8]| {
        let mut bytes = raw_tar(b"ahead", kind, b"", said);
        bytes.truncate(bytes.len() - 1024);
        bytes
    };
    let long = format!("{}/long.rs", "folder/".repeat(40));
    let entry = |ahead: &[Vec<u8>], kind: u8| [ahead.concat(), raw_tar(b"short", kind, b"", b"x\n")].concat();
    let paths = |bytes: &[u8]| {
        let found = measure_archive(bytes, &Options::default(), &quietly).unwrap();
        found.snapshot.files.into_keys().collect::<Vec<_>>()
    };
    let attribute = |name: &str, value: &str| {
        let said = format!(" {name}={value}\n");
        let length = (1..9999).find(|it| it.to_string().len() + said.len() == *it).unwrap();
        before(b'x', format!("{length}{said}").as_bytes())
    };
    let named = before(b'L', format!("{long}\0").as_bytes());
    assert_eq!(paths(&entry(std::slice::from_ref(&named), b'0')), ["long.rs"]);
    assert_eq!(paths(&entry(&[attribute("path", &long)], b'0')), ["long.rs"]);
    assert_eq!(paths(&entry(&[attribute("path", "b/b.py"), named.clone()], b'0')), ["long.rs"]);
    refused(&entry(&[before(b'K', b"/etc/passwd\0")], b'2'), &Options::default(), "unsafe_archive");
    refused(&entry(&[attribute("linkpath", "/etc/passwd")], b'2'), &Options::default(), "unsafe_archive");
    refused(&entry(&[attribute("size", "0")], b'0'), &Options::default(), "unsafe_archive");
    refused(&entry(&[named.clone(), named.clone()], b'0'), &Options::default(), "invalid_archive");
    refused(&[named, vec![0; 1024]].concat(), &Options::default(), "invalid_archive");
}

#[test]
fn harmful_entries_are_refused() {
    let options = Options::default();
    for (name, kind, link) in [
        ("../evil.rs", b'0', ""),
        ("a/../../evil.rs", b'0', ""),
        ("/etc/passwd", b'0', ""),
        ("C:\\evil.rs", b'0', ""),
        ("..\\evil.rs", b'0', ""),
        ("dev", b'3', ""),
        ("dev", b'4', ""),
        ("pipe", b'6', ""),
        ("odd", b'Z', ""),
        ("link", b'2', "/etc/passwd"),
        ("a/link", b'2', "../../etc/passwd"),
        ("link", b'1', "../etc/passwd"),
        ("../folder", b'5', ""),
    ] {
        let bytes = raw_tar(name.as_bytes(), kind, link.as_bytes(), b"");
        refused(&bytes, &options, "unsafe_archive");
        refused(&gzip(&bytes), &options, "unsafe_archive");
    }
    for name in ["../evil.rs", "/etc/passwd", "..\\evil.rs", "C:/evil.rs"] {
        refused(&zip_of(&[(name, b"x")], ""), &options, "unsafe_archive");
    }
    let inner = measure_archive(&raw_tar(b"a/link", b'2', b"../b.rs", b""), &options, &quietly).unwrap();
    assert_eq!(inner.measurement.evidence["excluded"]["link"]["files"], 1);
}

#[test]
fn doubled_names_are_refused() {
    let mut twice = tar_of(&[("a.rs", b"x\n")], "");
    twice.truncate(1024);
    let twice = [twice.clone(), twice, vec![0; 1024]].concat();
    refused(&twice, &Options::default(), "unsafe_archive");
}

#[test]
fn bombs_are_refused_and_not_expanded() {
    let options = Options { total_bytes_max: 32 << 20, ..Options::default() };
    let zeros = vec![0; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(64 << 20);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    refused(&bomb, &options, "archive_too_large");
    // By its ratio alone, too.
    refused(&bomb, &Options::default(), "archive_too_large");

    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros.c", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..64 {
        writer.write_all(&zeros).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    refused(&bomb, &options, "archive_too_large");
    refused(&bomb, &Options::default(), "archive_too_large");

    let names: Vec<String> = (0..20).map(|n| format!("f{n}.rs")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x\n".as_slice())).collect();
    let few = Options { entries_max: 10, ..Options::default() };
    refused(&tar_of(&files, ""), &few, "repository_too_large");
    refused(&zip_of(&files, ""), &few, "repository_too_large");
}

/// By the limits there are for strangers: a bomb is told from a repository that is honestly too large.
#[test]
fn a_repository_of_too_many_files_is_refused_as_what_it_is() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    for number in 0..=Options::default().entries_max {
        header.set_path(format!("f{number}.rs")).unwrap();
        header.set_cksum();
        encoder.write_all(header.as_bytes()).unwrap();
    }
    refused(&encoder.finish().unwrap(), &Options::default(), "repository_too_large");
}

/// A directory of entries that tells none of them, as a 64-bit one does.
#[test]
fn a_zip_is_not_opened_for_entries_it_does_not_tell() {
    let mut bytes = zip_of(&[("a.rs", b"x\n")], "");
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    bytes[end + 8..end + 12].fill(0xff);
    let directory = b"PK\x01\x02".repeat(11);
    bytes.splice(4..4, directory);
    refused(&bytes, &Options { entries_max: 10, ..Options::default() }, "repository_too_large");
}

#[test]
fn a_zip_that_lies_about_its_sizes_is_refused() {
    let honest = zip_of(&[("a.rs", &b"fn a() {}\n".repeat(50))], "");
    let central = honest.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut lying = honest;
    lying[central + 24..central + 28].copy_from_slice(&3_u32.to_le_bytes());
    let error = measure_archive(&lying, &Options::default(), &quietly).map(|_| ()).unwrap_err();
    assert!(["unsafe_archive", "invalid_archive"].contains(&error.code()), "{error}");
}

#[test]
fn an_encrypted_zip_is_refused() {
    let mut bytes = zip_of(&[("a.rs", b"x\n")], "");
    let central = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[central + 8] |= 1;
    refused(&bytes, &Options::default(), "encrypted_archive");
}

#[test]
fn broken_and_foreign_bytes_are_refused() {
    let options = Options::default();
    let tar = tar_of(&[("a.rs", &b"fn a() {}\n".repeat(500))], "");
    refused(b"", &options, "invalid_archive");
    refused(b"PK", &options, "invalid_archive");
    refused(b"\x7fELF", &options, "invalid_archive");
    refused(&tar[..1500], &options, "invalid_archive");
    let packed = gzip(&tar);
    refused(&packed[..packed.len() / 2], &options, "invalid_archive");
    let packed = zip_of(&[("a.rs", b"x\n")], "");
    refused(&packed[..packed.len() / 2], &options, "invalid_archive");
}

#[test]
fn an_archive_in_an_archive_is_just_binary() {
    let inner = gzip(&tar_of(&[("a.rs", b"x\n")], ""));
    let found = measure_archive(&tar_of(&[("in.tar.gz", &inner), ("b.rs", b"x\n")], ""), &Options::default(), &quietly)
        .unwrap();
    assert_eq!(found.measurement.quantities["code_lines"], 1);
}

#[test]
fn names_that_are_not_utf_8_are_kept_apart() {
    let mut one = raw_tar(b"\xff.rs", b'0', b"", b"x\n");
    one.truncate(1024);
    let two = raw_tar(b"\xfe.rs", b'0', b"", b"y\n");
    let found = measure_archive(&[one, two].concat(), &Options::default(), &quietly).unwrap();
    let paths: Vec<&String> = found.snapshot.files.keys().collect();
    assert_eq!(paths, ["%FE.rs", "%FF.rs"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_an_archive_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        start in 0_usize..4,
    ) {
        let start: &[u8] = [&b""[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"PK\x05\x06"][start];
        let _ = measure_archive(&[start, &bytes].concat(), &Options::default(), &quietly);
    }

    #[test]
    fn no_flipped_byte_makes_an_archive_reader_panic(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        kind in 0_usize..3,
    ) {
        let files: &[(&str, &[u8])] = &[("a/b.rs", b"fn a() {}\n"), (".gitattributes", b"* linguist-vendored\n")];
        let mut bytes = match kind {
            0 => tar_of(files, "t/"),
            1 => gzip(&tar_of(files, "t/")),
            _ => zip_of(files, "t/"),
        };
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = measure_archive(&bytes, &Options::default(), &quietly);
    }

    #[test]
    fn no_source_makes_the_line_counter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), tail in "([/*#\"'`\\\\=\\-\\[\\]{}<>!\n]|<script>|</script>|=begin|r#\"){0,40}", kind in 0_usize..14) {
        let kind = ["rs", "py", "js", "rb", "pl", "html", "vue", "lua", "hs", "f", "bat", "ipynb", "php", "sql"][kind];
        let content = [bytes, tail.into_bytes()].concat();
        let _ = measure_archive(&tar_of(&[(&format!("a.{kind}"), &content)], ""), &Options::default(), &quietly);
    }
}
