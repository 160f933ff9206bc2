// A certified OpenID Connect provider (npm `oidc-provider`) with two people, on a free port.
// Prints its address, then serves until its standard input ends.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const callback = process.argv[2];
const PEOPLE = {
  anna: { preferred_username: "anna", groups: ["radiology", "staff"] },
  bert: { preferred_username: "bert", groups: ["kitchen"] },
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "cxr-triage",
      client_secret: "a-secret-of-this-test",
      redirect_uris: [callback],
    }],
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
    scopes: ["openid", "profile", "groups"],
    pkce: { required: () => true, methods: ["S256"] },
    cookies: { keys: ["only for this test"] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, ...PEOPLE[id] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
