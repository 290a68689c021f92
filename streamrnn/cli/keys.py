"""streamrnn keys: CURVE key pairs for a server and its clients, in files."""
from pathlib import Path


def options(parser):
    parser.add_argument("folder", metavar="FOLDER", help="where the files go; made if it is not there")
    parser.add_argument("--server", action="store_true", help="make the server's keys")
    parser.add_argument("--client", metavar="NAME", nargs="+", action="extend", default=[], help="make a client's keys, in FOLDER/clients")


def run(chosen):
    from streamrnn.bus.security import make_keys
    from streamrnn.errors import ConfigError

    if not chosen.server and not chosen.client:
        raise ConfigError("say whose keys to make: --server, --client NAME, or both")
    if len(set(chosen.client)) < len(chosen.client):
        raise ConfigError("two clients have the same name: give each one a name of its own")
    folder = Path(chosen.folder)
    clients = folder / "clients"
    if chosen.server:
        public, secret = make_keys(folder, ["server"])["server"]
        print(f"{secret}  secret: stays with the server\n{public}  public: goes to every client")
    for public, secret in make_keys(clients, chosen.client).values():
        print(f"{secret}  secret: move it to that client, and leave no copy\n{public}  public: stays here, in the list of who may connect")
    print(f"\nserver:  streamrnn serve MODEL --listen tcp://0.0.0.0:5555 --server-key {folder / 'server.key_secret'} --allow {clients}")
    print('client:  Client("tcp://HOST:5555", server_key="server.key", key="NAME.key_secret")')
    return 0
