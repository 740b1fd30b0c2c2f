"""A terminal for tests: a program runs in it, and what it has drawn is there as rows of text. It knows what ncurses writes to a vt100, and no more."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from processes import SLOWNESS, _libc

SEQUENCE = re.compile(rb"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>78M]|\x1b\[[0-9;]*$|\x1b[(\[]?$")


class Terminal:
    def __init__(self, command, rows=24, columns=80):
        self.rows, self.columns = rows, columns
        self.cells = {}
        self.at = [0, 0]
        self.left = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            _libc.prctl(1, signal.SIGKILL)          # it ends with the test
            self._size(0, rows, columns)
            os.execvpe(command[0], command, dict(os.environ, TERM="vt100", LC_ALL="C.UTF-8"))
        os.set_blocking(self.fd, False)

    @staticmethod
    def _size(fd, rows, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.rows, self.columns, self.cells = rows, columns, {}
        self._size(self.fd, rows, columns)

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def screen(self):
        """Its rows, without the spaces that they end with."""
        self._receive()
        return ["".join(self.cells.get((row, column), " ") for column in range(self.columns)).rstrip() for row in range(self.rows)]

    def wait_for(self, condition, seconds=10, what="a picture"):
        """Until condition(rows) is true; the rows."""
        end = time.monotonic() + seconds * SLOWNESS
        while True:
            last, rows = time.monotonic() >= end, self.screen()
            if condition(rows):
                return rows
            if last:
                raise AssertionError("%s did not come; there is\n%s" % (what, "\n".join(rows)))
            select.select([self.fd], [], [], 0.05)

    def wait_for_text(self, text, **more):
        return self.wait_for(lambda rows: any(text in row for row in rows), what=repr(text), **more)

    def ended(self, seconds=10):
        """Its exit status."""
        end = time.monotonic() + seconds * SLOWNESS
        while self.status is None and time.monotonic() < end:
            self._receive()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.01)
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = -signal.SIGKILL
        os.close(self.fd)

    # ---- what it draws ----

    def _receive(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            self._draw(self.left + data)

    def _draw(self, data):
        self.left, i = b"", 0
        while i < len(data):
            if data[i] == 0x1b:
                found = SEQUENCE.match(data, i)
                if not found:
                    raise AssertionError("not understood: %r" % data[i:i + 10])
                if not found.group(3) and found.end() == len(data) and found.group()[-1:] in b"\x1b[(0123456789;":
                    self.left = data[i:]
                    return
                if found.group(3):
                    self._control(found.group(3).decode(), [int(n) if n else 0 for n in found.group(2).decode().split(";")])
                i = found.end()
                continue
            length = 1 if data[i] < 0x80 else 2 if data[i] < 0xe0 else 3 if data[i] < 0xf0 else 4
            if i + length > len(data):
                self.left = data[i:]
                return
            self._put(data[i:i + length].decode(errors="replace"))
            i += length

    def _put(self, char):
        if char == "\r":
            self.at[1] = 0
        elif char == "\n":
            self.at[0] += 1
        elif char == "\b":
            self.at[1] -= 1
        elif char >= " ":
            self.cells[tuple(self.at)] = char
            self.at[1] += 1

    def _control(self, what, numbers):
        first = numbers[0]
        if what == "H":
            self.at = [max(first, 1) - 1, max(numbers[1] if len(numbers) > 1 else 1, 1) - 1]
        elif what in "ABCD":
            self.at[what in "CD"] += max(first, 1) * (1 if what in "BC" else -1)
        elif what == "J" or what == "K":
            row, column = self.at

            def gone(cell):
                if what == "J" and first == 2:
                    return True
                if first == 1:
                    return cell[0] == row and cell[1] <= column or what == "J" and cell[0] < row
                return cell[0] == row and cell[1] >= column or what == "J" and cell[0] > row
            self.cells = {cell: char for cell, char in self.cells.items() if not gone(cell)}
