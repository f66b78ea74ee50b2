"""Looks at pixels of an X screen: when what a program painted is there to be seen.

Commands on standard input, one a line, each answered on standard output by a line of JSON:
  find R G B   {"event": "found", "x", "y"}: the first pixel of that colour, from the upper left; without x and y if none is
  look X Y     {"event": "seen", "light"}: whether that pixel is light
  watch X Y    {"event": "watching"}, and once that pixel went from dark to light or back
               {"event": "changed", "at"}: when, in milliseconds since 1970
"""

import ctypes
import json
import sys
import time
from ctypes import c_int, c_uint, c_ulong, c_void_p

ALL_PLANES, Z_PIXMAP = 0xFFFFFF, 2
# Not a busy loop: the browsers have the same cores. It bounds what a look is late by.
BETWEEN_LOOKS = 0.0005
# Rows between two that are searched: the spots to find are larger.
STEP = 4

X11 = ctypes.CDLL("libX11.so.6")


def declare(name, result, *arguments):
    function = getattr(X11, name)
    function.restype, function.argtypes = result, arguments
    return function


open_display = declare("XOpenDisplay", c_void_p, ctypes.c_char_p)
root_of = declare("XDefaultRootWindow", c_ulong, c_void_p)
get_image = declare("XGetImage", c_void_p, c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int)
get_pixel = declare("XGetPixel", c_ulong, c_void_p, c_int, c_int)
destroy_image = declare("XDestroyImage", c_int, c_void_p)
width_of = declare("XDisplayWidth", c_int, c_void_p, c_int)
height_of = declare("XDisplayHeight", c_int, c_void_p, c_int)

display = open_display(None)
if not display:
    sys.exit("screen.py: DISPLAY names no X server")
root = root_of(display)


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def row(x, y, width):
    image = get_image(display, root, x, y, width, 1, ALL_PLANES, Z_PIXMAP)
    pixels = [get_pixel(image, i, 0) & 0xFFFFFF for i in range(width)]
    destroy_image(image)
    return pixels


def is_light(x, y):
    return row(x, y, 1)[0] >> 16 > 127


def find(red, green, blue):
    colour = red << 16 | green << 8 | blue
    width = width_of(display, 0)
    for y in range(0, height_of(display, 0), STEP):
        pixels = row(0, y, width)
        if colour in pixels:
            return say("found", x=pixels.index(colour), y=y)
    say("found")


def watch(x, y):
    before = is_light(x, y)
    say("watching")
    while is_light(x, y) == before:
        time.sleep(BETWEEN_LOOKS)
    say("changed", at=time.time() * 1000)


say("open")
for line in sys.stdin:
    command, *numbers = line.split()
    numbers = [int(number) for number in numbers]
    if command == "find":
        find(*numbers)
    elif command == "look":
        say("seen", light=is_light(*numbers))
    else:
        watch(*numbers)
