"""Serves the empty bucket 'runs', as Cloud Storage would: bucket_server.py PORT

gcp-storage-emulator knows no conditions. TensorStore writes with them, so that
of two writers of an object one loses; here they are added. And it takes a
carriage return at the end of an object for one of the line after it. One
request is answered after the other.
"""

import sys
import urllib.parse
from email.parser import BytesParser

from gcp_storage_emulator import server


class Parser(BytesParser):
  """Reads what gcsfs writes: lines that end in a line feed alone."""

  END = b'\n--==0==--'

  def parsebytes(self, text, headersonly=False):
    if text.endswith(self.END):
      text = text.removesuffix(self.END) + b'\r' + self.END
    return super().parsebytes(text, headersonly)


class Handler(server.RequestHandler):
  """Heeds ifGenerationMatch and ifGenerationNotMatch, and tells generations."""

  def parse_request(self):
    self.generation = None
    if not super().parse_request():
      return False
    url = urllib.parse.urlparse(self.path)
    query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
    name = query.get('name') or urllib.parse.unquote(
      url.path.rpartition('/o/')[2]
    )
    found = self.storage.objects.get('runs', {}).get(name, {})
    self.generation = found.get('generation', '0')
    if query.get('ifGenerationMatch', self.generation) != self.generation:
      self.rfile.read(int(self.headers.get('Content-Length', 0)))
      self.send_error(412)
      return False
    if query.get('ifGenerationNotMatch') == self.generation != '0':
      self.send_response(304)
      self.end_headers()
      return False
    return True

  def end_headers(self):
    if self.generation:
      self.send_header('x-goog-generation', self.generation)
    super().end_headers()


if __name__ == '__main__':
  server.RequestHandler, server.BytesParser = Handler, Parser
  server.create_server('localhost', int(sys.argv[1]), True, 'runs').run()
