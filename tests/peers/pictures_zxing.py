# The path of a picture per line: the texts of the QR codes in it, as JSON. Black on white only, as keyfob draws them.
import json
import sys

import zxingcpp
from PIL import Image

for line in sys.stdin:
    codes = zxingcpp.read_barcodes(Image.open(line.rstrip("\n")), zxingcpp.BarcodeFormat.QRCode, try_invert=False)
    print(json.dumps([code.text for code in codes]))
