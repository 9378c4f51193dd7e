vcl 4.1;
import vsthrottle;
backend default none;
sub vcl_recv {
  @rules@
  return (synth(200));
}
