# Reads the path of a picture per line, and prints the texts of its QR codes as JSON. Black on white only, as keyfob
# draws.
import json
import sys

import zxingcpp
from PIL import Image

for line in sys.stdin:
    codes = zxingcpp.read_barcodes(Image.open(line.rstrip("\n")), zxingcpp.BarcodeFormat.QRCode, try_invert=False)
    print(json.dumps([code.text for code in codes]))
