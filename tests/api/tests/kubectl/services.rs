//! Services and what belongs to them, as far as no node is needed.

use crate::with_every_kubectl;

#[test]
fn a_deployment_is_exposed_in_every_way() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create deployment elastic --image=elasticsearch:2").succeeds();
        terminal.run("kubectl expose deploy/elastic --port 9200").succeeds().prints("service/elastic exposed");
        terminal.run("kubectl get svc elastic").prints("ClusterIP 10.").prints("<none> 9200/TCP");
        terminal
            .run("kubectl expose deployment elastic --name=np --type=NodePort --port=80 --target-port=8080")
            .succeeds();
        terminal.run("kubectl get svc np -o wide").prints("NodePort").prints("80:3").prints("app=elastic");
        terminal.run("kubectl expose deployment elastic --name=lb --type=LoadBalancer --port=80").succeeds();
        terminal.run("kubectl get svc lb").prints("LoadBalancer").prints("<pending>");
        terminal.run("kubectl expose deployment elastic").fails().complains("couldn't find port");
        let described = terminal.run("kubectl describe service np");
        described
            .succeeds()
            .prints("Session Affinity: None")
            .prints("External Traffic Policy: Cluster")
            .prints("NodePort: <unset>");
    });
}

#[test]
fn a_node_port_is_given_out_once() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create service nodeport webui --tcp=80 --node-port=30001").succeeds();
        terminal.run("kubectl get svc webui").prints("80:30001/TCP");
        let taken = terminal.run("kubectl create service nodeport other --tcp=80 --node-port=30001");
        taken.fails().complains("provided port is already allocated");
        let outside = terminal.run("kubectl create service nodeport other --tcp=80 --node-port=80");
        outside.fails().complains("provided port is not in the valid range. The range of valid ports is 30000-32767");
        terminal.run("kubectl delete svc webui").succeeds();
        terminal.run("kubectl create service nodeport other --tcp=80 --node-port=30001").succeeds();
    });
}

#[test]
fn an_external_name_is_a_name_and_nothing_else() {
    with_every_kubectl(|terminal| {
        let manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: external-database}\nspec: {type: ExternalName, externalName: database.company.com}\n";
        terminal.file("s.yaml", manifest);
        terminal.run("kubectl apply -f s.yaml").succeeds();
        terminal.run("kubectl get svc external-database").prints("ExternalName <none> database.company.com <none>");
    });
}

#[test]
fn a_service_without_selector_takes_hand_made_endpoints() {
    with_every_kubectl(|terminal| {
        let manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: external-ip-database}\nspec: {ports: [{port: 3306}]}\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: external-ip-database}\nsubsets: [{addresses: [{ip: 192.168.0.1}], ports: [{port: 3306}]}]\n";
        terminal.file("s.yaml", manifest);
        terminal.run("kubectl apply -f s.yaml").succeeds().prints("service/external-ip-database created");
        terminal.run("kubectl get endpoints external-ip-database").succeeds().prints("192.168.0.1:3306");
    });
}

#[test]
fn headless_services_and_fixed_addresses_are_kept() {
    with_every_kubectl(|terminal| {
        for (name, address) in [("headless", "None"), ("fixed", "10.96.0.10")] {
            let manifest = format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {address}, ports: [{{port: 53, protocol: UDP}}]}}\n"
            );
            terminal.file("s.yaml", &manifest);
            terminal.run("kubectl apply -f s.yaml").succeeds();
            terminal.run(&format!("kubectl get svc {name} -o jsonpath='{{.spec.clusterIP}}'")).prints_exactly(address);
        }
        terminal
            .run("sed 's/fixed/thief/' s.yaml | kubectl apply -f -")
            .fails()
            .complains("provided IP is already allocated");
        let change = terminal.run("kubectl patch svc fixed -p '{\"spec\":{\"clusterIP\":\"10.96.0.11\"}}'");
        change.fails().complains("may not change once set");
    });
}

#[test]
fn an_ingress_and_a_network_policy_print_their_columns() {
    with_every_kubectl(|terminal| {
        if terminal.version() < (1, 22) {
            return;
        }
        terminal.run("kubectl create ingress simple --class=nginx --rule='foo.bar.com/foo*=service1:8080'").succeeds();
        terminal.run("kubectl get ingress simple").prints("simple nginx foo.bar.com").prints("80");
        let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {matchLabels: {app: db}}}\n";
        terminal.file("p.yaml", policy);
        terminal.run("kubectl apply -f p.yaml && kubectl get netpol").succeeds().prints("deny app=db");
        terminal.run("kubectl describe netpol deny").succeeds().prints("Policy Types: Ingress");
    });
}
