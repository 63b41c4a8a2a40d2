//! Plans, scored by hand beside each.

use meters::plan::measure;
use meters::{MeasureError, Measurement};
use proptest::prelude::*;
use serde_json::{Value, json};

fn scored(text: &str) -> Measurement {
    let found = measure(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    let hundredths = |shown: &Value| shown.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
    let lines = found.evidence["lines"].as_array().unwrap();
    let sum: u64 = lines.iter().map(|line| hundredths(&line["points"])).sum();
    assert_eq!(sum, hundredths(&found.evidence["score"]), "the lines shown must add up to the score");
    assert_eq!(found.quantities["points"], sum.div_ceil(100));
    found
}

/// Score, band and resources of a plan.
#[track_caller]
fn check(text: &str, score: &str, band: &str, resources: u64) {
    let found = scored(text);
    let all =
        (found.evidence["score"].as_str().unwrap(), found.dimensions["band"].as_str(), found.quantities["resources"]);
    assert_eq!(all, (score, band, resources), "{:#}", found.evidence["lines"]);
}

#[track_caller]
fn refused(bytes: &[u8], code: &str) -> MeasureError {
    let error = measure(bytes).expect_err("it must be refused");
    assert_eq!(error.code(), code, "{error}");
    error
}

fn change(address: &str, actions: &[&str]) -> Value {
    let mut parts = address.rsplit('.');
    let name = parts.next().unwrap().split('[').next().unwrap();
    let kind = parts.next().unwrap();
    json!({"address": address, "mode": "managed", "type": kind, "name": name, "change": {"actions": actions}})
}

fn plan(changes: &[Value], configuration: Value) -> String {
    json!({"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": {}, "resource_changes": changes,
           "configuration": configuration, "a_later_field": {"x": [1]}})
    .to_string()
}

#[test]
fn types_and_actions_weigh_as_specified() {
    let one = |kind: &str, actions: &[&str]| plan(&[change(&format!("{kind}.x"), actions)], json!({}));
    check(&one("aws_instance", &["create"]), "4.00", "S", 1);
    check(&one("aws_instance", &["update"]), "2.40", "S", 1);
    check(&one("aws_instance", &["delete"]), "1.20", "S", 1);
    check(&one("aws_instance", &["delete", "create"]), "6.00", "S", 1);
    check(&one("aws_instance", &["create", "delete"]), "6.00", "S", 1);
    check(&one("aws_instance", &["create", "forget"]), "6.00", "S", 1);
    check(&one("aws_instance", &["forget"]), "0.80", "S", 1);
    check(&one("aws_instance", &["no-op"]), "0.00", "S", 0);
    check(&one("aws_instance", &["read"]), "0.00", "S", 0);
    check(&one("aws_lb", &["create"]), "2.00", "S", 1);
    check(&one("aws_s3_bucket", &["create"]), "2.00", "S", 1);
    check(&one("aws_db_subnet_group", &["create"]), "2.00", "S", 1);
    check(&one("aws_iam_role", &["create"]), "1.00", "S", 1);
    check(&one("aws_security_group_rule", &["create"]), "0.10", "S", 1);
    check(&one("aws_security_group_rule", &["delete"]), "0.03", "S", 1);
    check(&one("google_sql_database_instance", &["create"]), "4.00", "S", 1);
    check(&one("azurerm_linux_virtual_machine", &["create"]), "4.00", "S", 1);
    check(&one("azurerm_virtual_network", &["create"]), "2.00", "S", 1);
    check(&one("kubernetes_deployment", &["create"]), "4.00", "S", 1);
    check(&one("somebody_gizmo", &["create"]), "1.00", "S", 1);
    check(&one("null_resource", &["create"]), "0.00", "S", 0);
    check(&one("terraform_data", &["create"]), "0.00", "S", 0);
}

#[test]
fn imports_and_moves_weigh_little() {
    let mut imported = change("aws_instance.x", &["no-op"]);
    imported["change"]["importing"] = json!({"id": "i-1"});
    check(&plan(&[imported], json!({})), "0.80", "S", 1);
    let mut moved = change("aws_instance.x", &["no-op"]);
    moved["previous_address"] = json!("aws_instance.y");
    check(&plan(&[moved.clone()], json!({})), "0.80", "S", 1);
    // What changes beside that is worth more, and counts once.
    moved["change"] = json!({"actions": ["update"], "importing": {"id": "i-1"}});
    check(&plan(&[moved], json!({})), "2.40", "S", 1);
}

/// What a replacement left over is deleted beside whatever becomes of the resource now.
#[test]
fn a_deposed_object_is_a_change_of_its_own() {
    let mut deposed = change("aws_instance.x", &["delete"]);
    deposed["deposed"] = json!("byebye01");
    check(&plan(&[deposed, change("aws_instance.x", &["create", "delete"])], json!({})), "7.20", "S", 2);
}

#[test]
fn null_is_not_there() {
    let configuration = json!({"root_module": {"resources": null, "module_calls": {"net": {"module": null}, "db":
        {"module": {"resources": [{"mode": "managed", "type": "aws_eip", "name": "e", "expressions": null,
                                   "depends_on": null}], "module_calls": null}}}}});
    let mut instance = change("aws_instance.x", &["create"]);
    instance["module_address"] = Value::Null;
    instance["previous_address"] = Value::Null;
    instance["change"]["importing"] = Value::Null;
    let text = json!({"format_version": "1.2", "errored": null, "planned_values": null, "deferred_changes": null,
                      "resource_changes": [instance], "configuration": configuration});
    check(&text.to_string(), "4.00", "S", 1);
    let text = json!({"format_version": "1.2", "planned_values": {}, "resource_changes": null, "configuration": null});
    check(&text.to_string(), "0.00", "S", 0);
}

#[test]
fn data_sources_are_free() {
    let mut data = change("aws_ami.x", &["read"]);
    data["mode"] = json!("data");
    check(&plan(&[data], json!({})), "0.00", "S", 0);
}

#[test]
fn children_of_a_parent_are_worth_a_point_together() {
    let changes: Vec<Value> =
        (0..30).map(|n| change(&format!("aws_security_group_rule.r[{n}]"), &["create"])).collect();
    check(&plan(&changes, json!({})), "1.00", "S", 30);
    // Of two parents: 30 rules of one are capped at 1, 3 of the other are 0.30; two references.
    let mut changes = changes;
    changes.extend((0..3).map(|n| change(&format!("aws_security_group_rule.s[{n}]"), &["create"])));
    let rule = |name: &str, group: &str| {
        json!({"mode": "managed", "type": "aws_security_group_rule", "name": name, "expressions":
            {"security_group_id": {"references": [format!("aws_security_group.{group}.id"), format!("aws_security_group.{group}")]}}})
    };
    let configuration = json!({"root_module": {"resources": [rule("r", "web"), rule("s", "db")]}});
    check(&plan(&changes, configuration), "2.30", "S", 33);
}

#[test]
fn references_count_once_a_pair_and_only_from_what_changes() {
    let configured = |kind: &str, name: &str, references: Value, depends_on: Value| json!({"mode": "managed", "type": kind, "name": name, "expressions": {"block": [{"attribute": {"references": references}}]}, "depends_on": depends_on});
    let configuration = json!({"root_module": {
        "resources": [
            configured("aws_instance", "a", json!(["aws_subnet.s.id", "aws_subnet.s", "var.x", "each.key", "data.aws_ami.u.id", "local.y"]), json!(["aws_iam_role.r", "module.net"])),
            configured("aws_instance", "quiet", json!(["aws_subnet.s"]), json!([])),
        ],
        "module_calls": {"net": {"module": {"resources": [configured("aws_subnet", "s", json!(["aws_vpc.v", "aws_subnet.s"]), json!([]))]}}}
    }});
    let mut inner = change("module.net[0].aws_subnet.s[\"a.b[c]\"]", &["create"]);
    inner["module_address"] = json!("module.net[0]");
    inner["name"] = json!("s");
    inner["type"] = json!("aws_subnet");
    let changes = [
        change("aws_instance.a[0]", &["create"]),
        change("aws_instance.a[1]", &["create"]),
        change("aws_instance.quiet", &["no-op"]),
        inner,
    ];
    // 2 × 4 + 2 + references a→s, a→r, a→module.net, s→v: 4 × 0.5.
    check(&plan(&changes, configuration), "12.00", "S", 3);
}

#[test]
fn bands_are_cut_on_the_exact_score() {
    let instances = |count: usize, extra: &[Value]| {
        let mut changes: Vec<Value> =
            (0..count).map(|n| change(&format!("aws_instance.i[{n}]"), &["create"])).collect();
        changes.extend_from_slice(extra);
        plan(&changes, json!({}))
    };
    let role = |n: u32| change(&format!("aws_iam_role.r[{n}]"), &["create"]);
    let rule = change("aws_security_group_rule.x", &["create"]);
    check(&instances(3, &[role(0), role(1), role(2)]), "15.00", "S", 6);
    check(&instances(3, &[role(0), role(1), role(2), rule.clone()]), "15.10", "M", 7);
    check(&instances(10, &[]), "40.00", "M", 10);
    check(&instances(10, std::slice::from_ref(&rule)), "40.10", "L", 11);
    check(&instances(25, &[]), "100.00", "L", 25);
    check(&instances(25, &[rule]), "100.10", "XL", 26);
}

#[test]
fn what_a_plan_puts_off_is_noted() {
    let deferred = json!([{"reason": "provider_config_unknown", "resource_change": change("aws_lb.l", &["create"])}]);
    let text = json!({"format_version": "1.2", "resource_changes": [change("aws_instance.x", &["create"])],
                      "deferred_changes": deferred});
    check(&text.to_string(), "4.00", "S", 1);
    let note = "1 change is put off by the plan until more is known, and was not counted";
    assert_eq!(scored(&text.to_string()).evidence["notes"], json!([note]));
}

#[test]
fn versions_and_failures_are_told_apart() {
    for minor in ["1.0", "1.1", "1.2", "1.99"] {
        let text = json!({"format_version": minor, "resource_changes": []}).to_string();
        check(&text, "0.00", "S", 0);
    }
    for version in [json!("2.0"), json!("0.1"), json!("10.0"), json!("one"), json!(1), json!(null)] {
        let text = json!({"format_version": version, "resource_changes": []}).to_string();
        if version.is_null() {
            continue;
        }
        let error = refused(text.as_bytes(), "unsupported_plan_version");
        assert_eq!(error.field().as_deref(), Some("format_version"));
    }
    refused(br#"{"format_version": "1.2", "errored": true, "resource_changes": []}"#, "invalid_plan");
    refused(br#"{"format_version": "1.0", "values": {"root_module": {}}}"#, "unknown_plan");
    let odd = plan(&[change("aws_instance.x", &["explode"])], json!({}));
    assert_eq!(refused(odd.as_bytes(), "invalid_plan").field().as_deref(), Some("resource_changes[0].change.actions"));
    refused(br#"{"format_version": "1.0", "resource_changes": [{"address": 7}]}"#, "invalid_plan");
    let whole = plan(&[change("aws_instance.x", &["create"])], json!({}));
    refused(&whole.as_bytes()[..whole.len() / 2], "unknown_plan");
    refused(b"", "unknown_plan");
    refused(b"\xff\xfe\x00", "unknown_plan");
    refused(b"\x89PNG", "unknown_plan");
    refused(b"{}", "unknown_plan");
    refused(b"[1]", "unknown_plan");
}

#[test]
fn a_plan_redirected_by_windows_powershell_is_read() {
    let text = plan(&[change("aws_instance.x", &["create"])], json!({}));
    let wide: Vec<u8> = [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(measure(&wide).unwrap(), measure(text.as_bytes()).unwrap());
}

#[test]
fn the_order_of_a_plan_changes_nothing() {
    let mut changes: Vec<Value> = (0..20)
        .map(|n| change(&format!("aws_security_group_rule.r[{n}]"), &[["create", "update", "delete"][n % 3]]))
        .collect();
    changes.extend((0..5).map(|n| change(&format!("aws_instance.i[{n}]"), &["create"])));
    let forward = scored(&plan(&changes, json!({})));
    changes.reverse();
    assert_eq!(scored(&plan(&changes, json!({}))), forward);
}

const COMPOSE: &str = r#"
x-common: &common
  restart: always
services:
  web:
    <<: *common
    build: .
    ports: ["80:80", "443:443", {target: 9000, published: 9000}]
    depends_on: [db, cache]
    environment:
      DATABASE_URL: postgres://app@db:5432/app
      PORT: 80
    volumes: ["uploads:/uploads", {type: volume, source: uploads, target: /u}, {type: tmpfs, target: /tmp}]
    healthcheck: {test: curl -f localhost}
    labels:
      - "traefik.http.routers.web.rule=Host(`Acme.example`, `www.acme.example`) && PathPrefix(`/`)"
  db:
    image: docker.io/library/postgres:17@sha256:abc
    volumes: [data:/var/lib/postgresql]
    env_file: db.env
    healthcheck: {disable: true}
  cache:
    image: bitnami/redis
  metrics:
    image: prom/postgres-exporter
    depends_on: {db: {condition: service_started}}
volumes: {uploads: {}, data: {}}
"#;

#[test]
fn a_compose_file_is_scored_by_hand() {
    // services 4 × 4, databases 2 × 3, volumes 2 × 2, domains 2 × 2, ports 3, health check 1, variables 2 × 0.2,
    // reference web→db 0.5, dependencies 3 × 1.
    check(COMPOSE, "37.90", "M", 8);
    let found = scored(COMPOSE);
    assert_eq!(found.dimensions["kind"], "compose");
    assert_eq!(found.evidence["notes"][0], "services.db.env_file names another file, which was not counted");
}

/// `docker compose config --format json`, by a writer that escapes what is not ASCII.
#[test]
fn a_compose_file_as_json_is_json() {
    let file = r#"{"services": {"web": {"image": "nginx", "environment": {"GREETING": "\ud83d\ude00"}}}}"#;
    check(file, "4.20", "S", 1);
}

#[test]
fn a_service_has_what_the_ones_it_extends_have() {
    let file = "
services:
  base:
    image: postgres:17
    ports: ['5432:5432']
    environment: {A: x, B: y}
    healthcheck: {test: pg_isready}
  copy:
    extends: base
    environment: [A=z, C=1]
    volumes: ['C:\\one:/one', 'C:\\two:/two']
  tool:
    extends: {service: copy}
    image: adminer
    healthcheck: {disable: true}
  other:
    image: nginx
    extends: {file: common.yaml, service: web}
";
    // services 4 × 4, databases base and copy 2 × 3, volumes 2 × 2, ports 3, health checks 2, variables 8 × 0.2.
    check(file, "32.60", "M", 6);
    let notes = scored(file).evidence["notes"].clone();
    assert_eq!(notes, json!(["services.other.extends names another file, which was not counted"]));
    for wrong in ["extends: nobody", "extends: web", "extends: {}", "extends: {service: web}"] {
        let error = refused(format!("services:\n  web:\n    {wrong}").as_bytes(), "invalid_plan");
        assert_eq!(error.field().as_deref(), Some("services.web.extends"));
    }
    // A large one that is extended by many.
    let value = "x".repeat(1 << 20);
    let many: String = (0..100).map(|it| format!("  s{it}: {{extends: base}}\n")).collect();
    refused(format!("services:\n  base: {{environment: {{A: {value}}}}}\n{many}").as_bytes(), "plan_too_large");
}

/// As real files have them: what is shared stands in one place, and is merged into what says more.
#[test]
fn merged_maps_and_variables_in_paths_are_read() {
    let file = "
x-common: &common
  image: apache/airflow
  environment: &env {A: 1, B: 2}
  volumes: ['${DIR:-.}/dags:/dags', '${DIR:-.}/logs:/logs', '${DATA:-/data}', '${OUTER:-${INNER:-x}}:/y']
  depends_on: &needs {db: {condition: service_healthy}}
services:
  web:
    <<: *common
    environment: {<<: *env, C: 3}
    depends_on: {<<: *needs, init: {condition: service_completed_successfully}}
  init: {<<: [*common, {restart: always}], profiles: [debug]}
  db: {image: postgres, healthcheck: {test: [NONE]}}
";
    // services 3 × 4, database 3, volumes 5 × 2 (three of both, and one of each), variables 5 × 0.2, dependencies 3.
    check(file, "29.00", "M", 8);
}

/// Two hundred of one anchor, as large files have; what they expand to is bounded all the same.
#[test]
fn an_anchor_may_be_used_by_all_services() {
    let services: String = (0..200).map(|it| format!("  s{it}: {{<<: *common}}\n")).collect();
    let file = format!("x: &common {{image: a, ports: ['80']}}\nservices:\n{services}");
    check(&file, "1000.00", "XL", 200);
    let anchors: String = (0..5_000).map(|it| format!("b{it}: &b{it} 1\n")).collect();
    let uses = "*big, ".repeat(40_000);
    let bomb = format!("{anchors}big: &big {}\nx: [{uses}1]\nservices: {{web: {{image: x}}}}", "x".repeat(1_000_000));
    refused(bomb.as_bytes(), "unknown_plan");
}

#[test]
fn what_a_service_shares_with_another_is_a_dependency() {
    let file = "
services:
  app: {image: a, network_mode: 'service:vpn', pid: host, volumes_from: ['data:ro', 'container:other', vpn]}
  vpn: {image: v}
  data: {image: d}
";
    check(file, "14.00", "S", 3);
}

#[test]
fn what_an_override_takes_out_is_not_there() {
    let file = "
services:
  web: {image: a, ports: !override ['80:80', '3000-3005:3000-3005', 8080], healthcheck: null, environment: !reset []}
  gone: !reset null
";
    check(file, "7.00", "S", 1);
    refused(b"services: {gone: !reset null}", "invalid_plan");
    let error = refused(b"include: [a.yaml]", "unknown_plan").to_string();
    assert!(error.contains("only those of the files that it includes"), "{error}");
}

/// A megabyte may not become gigabytes: ports that are numbers, and words that are services.
#[test]
fn what_is_extended_is_bounded_by_what_is_made_of_it() {
    let file = |base: Value, number: usize| {
        let mut services: serde_json::Map<String, Value> =
            (0..number).map(|it| (format!("s{it}"), json!({"extends": "b"}))).collect();
        services.insert("b".to_owned(), base);
        json!({ "services": services }).to_string()
    };
    let ports: Vec<u32> = (100_000..200_000).collect();
    refused(file(json!({ "ports": ports }), 600).as_bytes(), "plan_too_large");
    let words: String = (0..3_000).map(|it| format!("s{it} ")).collect();
    refused(file(json!({"environment": {"A": words}}), 3_000).as_bytes(), "plan_too_large");
    let honest = json!({"ports": (8_000..8_020).collect::<Vec<u32>>(), "environment": {"A": "s1 s2 s3"}});
    assert_eq!(scored(&file(honest, 600)).quantities["resources"], 601);
}

#[test]
fn broken_or_hostile_yaml_is_refused() {
    refused(b"services: {}", "invalid_plan");
    refused(b"services:\n  web: 7", "invalid_plan");
    refused(b"services: [a]", "invalid_plan");
    refused(b"name: x", "unknown_plan");
    refused(b"a: [b", "unknown_plan");
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..12 {
        let last = n - 1;
        bomb += &format!(
            "a{n}: &a{n} [*a{last},*a{last},*a{last},*a{last},*a{last},*a{last},*a{last},*a{last},*a{last},*a{last}]\n"
        );
    }
    refused((bomb + "services: {web: {image: x}}").as_bytes(), "unknown_plan");
    refused(("services: ".to_owned() + &"[".repeat(100_000)).as_bytes(), "unknown_plan");
    refused(("services: ".to_owned() + &"{a: ".repeat(100_000)).as_bytes(), "unknown_plan");
    refused("#".repeat(3 << 20).as_bytes(), "plan_too_large");
}

/// What is made of a name repeats it: no plan of a megabyte may take gigabytes, or as many steps.
#[test]
fn long_names_and_many_of_them_are_not_multiplied() {
    let name = "n".repeat(100_000);
    let resources: Vec<Value> =
        (0..5_000).map(|it| json!({"mode": "managed", "type": "aws_eip", "name": format!("e{it}")})).collect();
    let long = json!({"root_module": {"module_calls": {name.as_str(): {"module": {"resources": resources}}}}});
    refused(plan(&[], long).as_bytes(), "plan_too_large");
    refused(format!("services:\n  {}: {{image: x}}", "n".repeat(300)).as_bytes(), "invalid_plan");
    // As many instances of one resource as that refers to others.
    let many: Vec<Value> = (0..10_000).map(|it| change(&format!("aws_route.r[{it}]"), &["create"])).collect();
    let targets: Vec<String> = (0..10_000).map(|it| format!("aws_route_table.t{it}")).collect();
    let one = json!({"mode": "managed", "type": "aws_route", "name": "r", "depends_on": targets});
    let configuration = json!({"root_module": {"resources": [one]}});
    assert!(measure(plan(&many, configuration).as_bytes()).is_ok());
    // And all of one parent whose address is long.
    let parent = format!("aws_route_table.{}", "t".repeat(4 << 20));
    let one = json!({"mode": "managed", "type": "aws_route", "name": "r", "depends_on": [parent]});
    let measured = measure(plan(&many, json!({"root_module": {"resources": [one]}})).as_bytes()).unwrap();
    assert_eq!(measured.evidence["lines"][0]["points"], "1.00", "at most one point a parent");
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let deep = "[".repeat(200_000);
    refused(format!("{{\"format_version\":\"1.0\",\"x\":{deep}").as_bytes(), "unknown_plan");
    let modules = "{\"module_calls\":{\"m\":{\"module\":".repeat(5000);
    refused(
        format!("{{\"format_version\":\"1.0\",\"resource_changes\":[],\"configuration\":{{\"root_module\":{modules}")
            .as_bytes(),
        "unknown_plan",
    );
}

#[test]
fn scrips_own_plan_is_scored_by_hand() {
    let text = json!({"scrip_plan": 1, "servers": [{"name": "main", "tier": "business"}], "services": [
        {"name": "web", "image": "ghcr.io/acme/web", "ports": [443], "volumes": ["uploads"], "domains": ["acme.example", "ACME.example"],
         "env": ["DATABASE_URL", "PORT"], "health_check": true, "depends_on": ["db"], "references": ["db"]},
        {"name": "db", "image": "postgres:17"}, {"name": "kv", "kind": "cache"}]});
    // server 10, services 3 × 4, databases 2 × 3, volume 2, domain 2, port 1, check 1, variables 0.4, reference 0.5,
    // dependency 1.
    check(&text.to_string(), "35.90", "M", 6);
    let nulls = json!({"scrip_plan": 1, "servers": null, "services": [
        {"name": "web", "image": null, "kind": null, "ports": null, "volumes": null, "domains": null, "env": null,
         "health_check": null, "depends_on": null, "references": null}]});
    check(&nulls.to_string(), "4.00", "S", 1);
    refused(br#"{"scrip_plan": 2, "new": 1}"#, "unsupported_plan_version");
    refused(br#"{"scrip_plan": 1, "srevers": []}"#, "invalid_plan");
    refused(br#"{"scrip_plan": 1, "services": [{"name": "a"}, {"name": "a"}]}"#, "invalid_plan");
    let error = refused(br#"{"scrip_plan": 1, "services": [{"name": "a", "depends_on": ["b"]}]}"#, "invalid_plan");
    assert_eq!(error.field().as_deref(), Some("services[0].depends_on"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_plan_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = measure(&bytes);
    }

    #[test]
    fn no_yaml_makes_the_compose_reader_panic(tail in "(\\PC|\n  |\n    |: |- |[\\[{}\\],&*!|>'\"#%@`]|services|ports|volumes){0,60}") {
        let _ = measure(format!("services:\n  web:\n    {tail}").as_bytes());
    }
}
