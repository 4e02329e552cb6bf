import java.util.List;
import java.util.Map;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.transport.Netty4Plugin;

/** Elasticsearch's own node without its start script: Elasticsearch HOME IP PORT. */
public class Elasticsearch extends Node {
  Elasticsearch(Settings settings) {
    super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "test"), List.of(Netty4Plugin.class), true);
  }

  public static void main(String[] arguments) throws Exception {
    new Elasticsearch(
        Settings.builder()
            .put("path.home", arguments[0])
            .put("network.host", arguments[1])
            .put("http.port", arguments[2])
            .put("cluster.name", "test")
            .put("discovery.type", "single-node")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build()).start();
    Thread.sleep(Long.MAX_VALUE);
  }
}
