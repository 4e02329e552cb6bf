import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** OpenSearch's own node without its start script: OpenSearch HOME IP PORT. */
public class OpenSearch extends Node {
  OpenSearch(Settings settings) {
    super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "test"), List.of(Netty4Plugin.class), true);
  }

  public static void main(String[] arguments) throws Exception {
    new OpenSearch(
        Settings.builder()
            .put("path.home", arguments[0])
            .put("network.host", arguments[1])
            .put("http.port", arguments[2])
            .put("cluster.name", "test")
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build()).start();
    Thread.sleep(Long.MAX_VALUE);
  }
}
