"""An S3-compatible object store: OpenStack Swift on one disk, all its servers in this process.

swift-store.py FOLDER PORT ACCESS_KEY SECRET_KEY   PORT 0 takes a free one

Prints `listening PORT` when it answers. What it acknowledges lies in files below FOLDER, so that a
process that is ended and started again has it still. Needs Debian's python3-swift.
"""
import os
import socket
import sys

import eventlet
import eventlet.wsgi

# Before anything else loads the network modules.
eventlet.monkey_patch(all=False, socket=True, select=True, thread=True)

from swift.common import utils  # noqa: E402

folder, port, access_key, secret_key = sys.argv[1:5]
STORAGE = ('account', 'container', 'object')


def write(name, text):
    with open(os.path.join(folder, name), 'w') as file:
        file.write(text)


def listen(at):
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(('127.0.0.1', at))
    opened.listen(128)
    return opened


class NoLog:
    def write(self, text):
        pass


class Memory:
    """What Swift asks memcached for, in this process."""

    def __init__(self):
        self.values = {}

    def get(self, key, raise_on_error=False):
        return self.values.get(key)

    def set(self, key, value, **_options):
        self.values[key] = value

    def delete(self, key, **_options):
        self.values.pop(key, None)


def storage_configuration(server):
    return f'''[DEFAULT]
devices = {folder}/devices
mount_check = false
swift_dir = {folder}
disable_fallocate = true
[pipeline:main]
pipeline = {server}-server
[app:{server}-server]
use = egg:swift#{server}
'''


# `user_ACCOUNT_USER`: a key of S3 is named ACCOUNT:USER.
account, user = access_key.split(':')
os.makedirs(os.path.join(folder, 'devices', 'disk'), exist_ok=True)
write('swift.conf', '[swift-hash]\nswift_hash_path_suffix = tests\n'
      '[storage-policy:0]\nname = one\ndefault = yes\n')
utils.set_swift_dir(folder)

from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

write('proxy.conf', f'''[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret_key} .admin
''')
pool = eventlet.GreenPool(1000)
for server in STORAGE:
    write(f'{server}.conf', storage_configuration(server))
    listener = listen(0)
    builder = RingBuilder(2, 1, 0)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'weight': 1.0, 'meta': '',
                     'port': listener.getsockname()[1], 'device': 'disk',
                     'replication_ip': '127.0.0.1',
                     'replication_port': listener.getsockname()[1]})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, f'{server}.ring.gz'))
    app = loadapp(os.path.join(folder, f'{server}.conf'), global_conf={'log_name': server})
    eventlet.spawn(eventlet.wsgi.server, listener, app, log=NoLog(), custom_pool=pool)
front = listen(int(port))
application = loadapp(os.path.join(folder, 'proxy.conf'), global_conf={'log_name': 'proxy'})
memory = Memory()


def with_memory(environment, start_response):
    environment['swift.cache'] = memory
    return application(environment, start_response)


print(f'listening {front.getsockname()[1]}', flush=True)
eventlet.wsgi.server(front, with_memory, log=NoLog(), custom_pool=pool)
