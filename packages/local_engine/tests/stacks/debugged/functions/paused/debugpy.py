"""Stands in for debugpy: any connection is a debugger."""

import socket

listener = socket.socket()


def listen(address):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()


def wait_for_client():
    listener.accept()
    listener.close()
