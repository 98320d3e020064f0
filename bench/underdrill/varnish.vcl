# Varnish before the source, with its built-in rules: the words between @ are filled in when it is started.
vcl 4.1;

backend default {
  .host = "@HOST@";
  .port = "@PORT@";
  .connect_timeout = 1s;
  .first_byte_timeout = 1s;
}

sub vcl_recv {
  if (req.url == "/healthz") {
    return (synth(200, "ok"));
  }
}

sub vcl_deliver {
  set resp.http.X-Worker = "@LISTEN@";
}
