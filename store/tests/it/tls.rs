//! Encryption on the way to a real PostgreSQL: taken when it is asked for, checked whenever it is taken, and nothing
//! sent in the clear where it was asked for.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use store::postgres::Postgres;
use store::{Fault, Store};

use crate::make::{Desk, minute};

/// A PostgreSQL with an authority of its own, gone when this is.
struct Sealed {
    child: Child,
    url: String,
    certificates: String,
}

impl Sealed {
    fn start() -> Sealed {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/postgres/tls.sh"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("PostgreSQL did not start; it said why above").unwrap();
        Sealed { url: line(), certificates: line(), child }
    }

    fn open(&self, words: &str) -> Result<Postgres, Fault> {
        Postgres::open(&format!("{}?{}", self.url, words.replace("CERTIFICATES", &self.certificates)))
    }

    #[track_caller]
    fn refuses(&self, words: &str, why: &str) {
        let said = self.open(words).err().expect("it is refused").to_string();
        assert!(said.contains(why), "{words}: {said}");
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_encrypted_is_checked_and_what_must_be_is_never_sent_in_the_clear() {
    let sealed = Sealed::start();
    for mode in ["require", "verify-ca", "verify-full", "prefer"] {
        let store = sealed.open(&format!("sslmode={mode}&sslrootcert=CERTIFICATES/ca.pem")).unwrap();
        assert_eq!(store.journal_length().unwrap(), 0, "{mode}");
    }
    let store = sealed.open("sslmode=verify-full&sslrootcert=CERTIFICATES/ca.pem").unwrap();
    store.commit(&[Desk::new(1).grant(5, minute(0))]).unwrap();
    // The server takes no other, so each of these was refused, by us or by it.
    sealed.refuses("sslmode=disable", "the database wants TLS");
    sealed.refuses("sslmode=require", "sslrootcert=/path/ca.pem");
    sealed.refuses("sslmode=require&sslrootcert=CERTIFICATES/other.pem", "UnknownIssuer");
    sealed.refuses("sslmode=verify-full&sslrootcert=CERTIFICATES/none.pem", "none.pem");
    let words = "sslmode=verify-full&sslrootcert=CERTIFICATES/server.key";
    sealed.refuses(words, "server.key: there is no certificate in it");
    // The same server under a name that its certificate does not bear.
    let elsewhere = sealed.url.replace("localhost", "127.0.0.1");
    let url = format!("{elsewhere}?sslmode=verify-full&sslrootcert={}/ca.pem", sealed.certificates);
    let said = Postgres::open(&url).err().unwrap().to_string();
    assert!(said.contains("by a name that stands in the database's certificate"), "{said}");
}

/// Says that it has no TLS, as a PostgreSQL without it does, and hears what is said to it then.
#[test]
fn a_server_without_encryption_is_told_nothing_where_it_is_required() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(asked, [0, 0, 0, 8, 4, 210, 22, 47], "it asks for TLS");
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    let fault = Postgres::open(&format!("postgres://scrip:secret@{address}/scrip?sslmode=require")).err().unwrap();
    assert!(fault.to_string().contains("the database has no TLS"), "{fault}");
    assert_eq!(server.join().unwrap(), b"", "no name and no password went in the clear");
}
