"""What Debian's python3-can and python3-scapy do on the emulated bus, for can-interop.test.ts.

Usage: can-peer.py PORT ROLE [arguments]; speaks with the test by lines of JSON on its standard output
and ends with its standard input. The hub is reached by python-can's socketcand client.
"""
import json
import logging
import os
import sys
import threading

import can

port, role, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
wait_seconds = 60

# Its socketcand client warns of every message that arrives in two pieces.
logging.getLogger("can").setLevel(logging.ERROR)


def say(value):
    print(json.dumps(value), flush=True)


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()


def isotp_socket(transmit_id, receive_id, basecls=None, **options):
    from scapy.config import conf

    conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
    conf.contribs["CANSocket"] = {"use-python-can": True}
    from scapy.contrib.cansocket_python_can import PythonCANSocket
    from scapy.contrib.isotp import ISOTP, ISOTPSoftSocket

    bus = PythonCANSocket(
        bustype="socketcand",
        host="127.0.0.1",
        port=port,
        channel="can0",
        can_filters=[{"can_id": receive_id, "can_mask": 0x1FFFFFFF}],
    )
    return ISOTPSoftSocket(
        bus, tx_id=transmit_id, rx_id=receive_id, basecls=basecls or ISOTP, **options
    )


def receive(socket):
    from scapy.supersocket import SuperSocket

    ready = type(socket).select([socket], wait_seconds)
    return socket.recv() if ready else None


def bus(channel="can0"):
    return can.Bus(interface="socketcand", host="127.0.0.1", port=port, channel=channel)


def listen():
    """Tells of every frame: identifier, data, time."""
    listener = bus(arguments[0])
    say("ready")
    while True:
        message = listener.recv()
        if message is not None:
            say([message.arbitration_id, bytes(message.data).hex(), message.timestamp])


def send():
    """Sends numbered frames on an identifier."""
    sender = bus()
    identifier, count = int(arguments[0], 16), int(arguments[1])
    for number in range(count):
        sender.send(
            can.Message(
                arbitration_id=identifier,
                is_extended_id=identifier > 0x7FF,
                data=number.to_bytes(4, "big"),
            )
        )
    say("sent")


def slcan():
    """Answers each frame with the next identifier and the same data."""
    adapter = can.Bus(interface="slcan", channel=arguments[0], bitrate=500000)
    say("ready")
    while True:
        message = adapter.recv(1)
        if message is not None:
            message.arbitration_id += 1
            adapter.send(message)


def echo():
    """Sends back every ISO-TP message that arrives."""
    from scapy.contrib.isotp import ISOTP

    block_size, separation = int(arguments[2]), int(arguments[3])
    socket = isotp_socket(
        int(arguments[0], 16), int(arguments[1], 16), bs=block_size, stmin=separation
    )
    say("ready")
    while True:
        message = receive(socket)
        if message is not None:
            socket.send(ISOTP(message.data))


def uds_client():
    """Sends each request (hexadecimal); tells the answer and what scapy makes of it."""
    from scapy.contrib.automotive.uds import UDS

    socket = isotp_socket(int(arguments[0], 16), int(arguments[1], 16), basecls=UDS)
    say("ready")
    for request in arguments[2:]:
        answer = socket.sr1(UDS(bytes.fromhex(request)), timeout=wait_seconds, verbose=False)
        layers = [] if answer is None else [layer.__name__ for layer in answer.layers()]
        say([None if answer is None else bytes(answer).hex(), layers])


def uds_server():
    """A server built from scapy's UDS packets."""
    from scapy.contrib.automotive.uds import UDS, UDS_NR, UDS_RDBIPR, UDS_TPPR
    from scapy.packet import Raw

    socket = isotp_socket(int(arguments[0], 16), int(arguments[1], 16), basecls=UDS)
    say("ready")
    while True:
        request = receive(socket)
        if request is None:
            continue
        if request.service == 0x3E:
            socket.send(UDS() / UDS_TPPR())
        elif request.service == 0x22 and request.identifiers == [0xF190]:
            record = Raw(bytes(range(256)) * 8)
            # 0x78 first, as a server that needs time says.
            pending = UDS_NR(requestServiceId=0x22, negativeResponseCode=0x78)
            socket.send(UDS() / pending)
            socket.send(UDS() / UDS_RDBIPR(dataIdentifier=0xF190) / record)
        else:
            refusal = UDS_NR(requestServiceId=request.service, negativeResponseCode=0x31)
            socket.send(UDS() / refusal)


def read_log():
    """Tells of every frame of a candump log, as python-can reads it."""
    for message in can.io.CanutilsLogReader(arguments[0]):
        say(
            [
                message.arbitration_id,
                message.is_extended_id,
                message.is_fd,
                message.bitrate_switch,
                message.is_remote_frame,
                bytes(message.data or b"").hex(),
            ]
        )


globals()[role.replace("-", "_")]()
os._exit(0)
