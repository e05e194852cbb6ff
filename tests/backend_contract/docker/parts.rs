//! Parts of stacks, deployed and removed through [`Engine`].

use crate::backend_contract::harbour::Harbour;
use crate::support::engines::labs;
use mcpdeck::backend::engine::Engine;
use mcpdeck::backend::{ContainerSpec, Plain, Progress};
use mcpdeck::model::container::{Speaks, labels};
use mcpdeck::model::server::Limits;
use serde_json::json;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(1);

fn part(harbour: &Harbour, boot: &str) -> ContainerSpec {
    let mut berth = harbour.script("part", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    berth.speaks = Speaks::Nothing;
    berth.network = harbour.network("eaton");
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let own = label(labels::PLATFORM, &harbour.platform);
    berth.labels = vec![own, label(labels::STACK, "llm"), label(labels::PART, "db"), label(labels::BOOT, boot)];
    (*berth).clone()
}

#[tokio::test]
async fn a_part_is_deployed_kept_replaced_and_removed() {
    for lab in labs("a_part_is_deployed_kept_replaced_and_removed") {
        let harbour = Harbour::new(&lab);
        let name = format!("mcpdeck-{}-llm-db", harbour.platform);
        let deploy = |spec| harbour.engine.deploy(&name, spec, Limits::default(), Progress::default());
        let first = deploy(part(&harbour, "1")).await.unwrap();
        assert_eq!(
            deploy(part(&harbour, "2")).await.unwrap(),
            first,
            "{}: it runs as wanted, whoever made it",
            lab.name
        );
        lab.ask("POST", &format!("/containers/{first}/kill"), None).unwrap();
        assert_eq!(deploy(part(&harbour, "1")).await.unwrap(), first, "{}: started again", lab.name);
        let mut other = part(&harbour, "1");
        other.env.push(("NEW".to_owned(), Plain::Text("1".to_owned())));
        let second = deploy(other).await.unwrap();
        assert_ne!(second, first, "{}: another definition", lab.name);
        assert_eq!(harbour.containers(), [(name.clone(), "running".to_owned())], "{}", lab.name);
        harbour.engine.remove(&second, GRACE).await.unwrap();
        harbour.engine.remove(&second, GRACE).await.expect("there is none");
        assert_eq!(harbour.containers(), [], "{}", lab.name);
        assert_eq!(harbour.networks(), Vec::<String>::new(), "{}: nobody is in it any more", lab.name);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_neither_replaced_nor_removed() {
    for lab in labs("what_is_not_ours_is_neither_replaced_nor_removed") {
        let harbour = Harbour::new(&lab);
        let theirs =
            lab.create(&format!("mcpdeck-{}-llm-db", harbour.platform), json!({"Cmd": ["sleep", "1000"]})).unwrap();
        let deployed = harbour.engine.deploy(&theirs.name, part(&harbour, "1"), Limits::default(), Progress::default());
        let refusal = deployed.await.unwrap_err().to_string();
        assert!(refusal.contains("that mcpdeck did not make"), "{}: {refusal}", lab.name);
        let refusal = harbour.engine.remove(&theirs.id, GRACE).await.unwrap_err().to_string();
        assert!(refusal.ends_with("was not made by mcpdeck and is not removed"), "{}: {refusal}", lab.name);
        theirs.inspect();
    }
}
