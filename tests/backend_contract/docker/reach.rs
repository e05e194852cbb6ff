//! Who reaches whom: a tenant's containers each other, nobody another tenant's.

use crate::backend_contract::harbour::{Harbour, SERVE};
use crate::backend_contract::rig::Pipes;
use crate::support::engines::labs;
use mcpdeck::model::container::Speaks;
use std::process::Command;

/// Docker before 28 takes the jump to `DOCKER-ISOLATION-STAGE-1` out of the firewall and puts it back in at each creation
/// of a network, anybody's (`EnsureJumpRule` of libnetwork; moby/moby#48640 ended it): for some milliseconds networks
/// reach each other. Other tests make networks all the time, of both engines, behind one firewall: so one of so many
/// clients has to find the walls.
const CLIENTS: u32 = 20;
/// Times that a client asks for what is there, on a busy machine, and for what must not be.
const PATIENT: u32 = 200;
const BRIEF: u32 = 3;

#[tokio::test]
async fn a_tenants_container_reaches_its_own_and_no_others() {
    for lab in labs("a_tenants_container_reaches_its_own_and_no_others") {
        let harbour = Harbour::new(&lab);
        // Another engine of another test may have the same addresses: only ours says this.
        let word = harbour.platform.clone();
        let serve = SERVE.replace("here", &word);
        let mut server = harbour.script("web@eaton", &format!("{serve} & echo up; wait"));
        server.network = harbour.network("eaton");
        server.aliases = vec!["web".to_owned()];
        assert_eq!(server.speaks, Speaks::Stdio);
        let server = harbour.start(server).await;
        let seen = harbour.inspect(&server);
        let address = seen["NetworkSettings"]["Networks"][harbour.network("eaton")]["IPAddress"].as_str().unwrap();
        let mut serving = Pipes::of(server.attached);
        assert_eq!(serving.answer().await, "up\n");

        let ask = |host: &str, times: u32| {
            format!(
                "for i in $(seq {times}); do printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {host} 8000 | grep {word} \
                 && sleep 1 && exit; sleep 0.2; done; echo no"
            )
        };
        let found = format!("{word}\n");
        // The server and the engine's names may take a while to be there; once they are, whoever may not reach them is told
        // so at once.
        let cases = [
            ("a@eaton", "eaton", address, PATIENT, 1, &*found),
            ("b@eaton", "eaton", "web", PATIENT, 1, &*found),
            ("a@rexel", "rexel", address, BRIEF, CLIENTS, "no\n"),
            ("b@rexel", "rexel", "web", BRIEF, CLIENTS, "no\n"),
        ];
        for (name, tenant, host, times, clients, answer) in cases {
            let mut got = String::new();
            for _ in 0..clients {
                let mut client = harbour.script(name, &ask(host, times));
                client.network = harbour.network(tenant);
                let started = harbour.start(client).await;
                got = Pipes::of(started.attached).rest_of_stdout().await;
                // The next one has the same name.
                let _ = started.exit.await;
                if got == answer {
                    break;
                }
            }
            if got != answer {
                // First, so that whoever sees the end of a long report sees what was wrong.
                eprintln!("{}", walls());
            }
            assert_eq!(got, answer, "{}: {name} asks {host}", lab.name);
        }
    }
}

/// What this machine has between its networks, for whoever reads why one was reached from another.
fn walls() -> String {
    let told = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).output();
        output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    told("ip -br addr; ip route; iptables-save -t filter")
}

#[tokio::test]
async fn starts_at_once_make_one_network() {
    for lab in labs("starts_at_once_make_one_network") {
        let harbour = Harbour::new(&lab);
        let berth = |name: &str| {
            let mut berth = harbour.script(name, "true");
            berth.network = harbour.network("eaton");
            berth
        };
        let (a, b, c) = tokio::join!(harbour.start(berth("a")), harbour.start(berth("b")), harbour.start(berth("c")));
        assert_eq!(harbour.networks(), [harbour.network("eaton")], "{}", lab.name);
        for started in [a, b, c] {
            assert_eq!(started.exit.await.unwrap().code, Some(0), "{}", lab.name);
        }
        // It goes away behind our back: the container that was made for it is made anew.
        lab.ask("DELETE", &format!("/networks/{}?force=1", harbour.network("eaton")), None).unwrap();
        assert_eq!(harbour.start(berth("a")).await.exit.await.unwrap().code, Some(0), "{}", lab.name);
        assert_eq!(harbour.networks().len(), 1, "{}", lab.name);
    }
}
