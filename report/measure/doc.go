// Package measure counts what happens in a drill ([Recorder]) and gives what is known of it
// afterwards ([Results]), as measurements that metrics of report/slo read.
package measure
